//! Locks, held by the first client in the queue.

use bytes::Bytes;
use disco_proto::v1::DeleteRangeRequest;
use disco_proto::v1::command::Operation;
use disco_proto::v1::command_response::Result as Answer;
use disco_proto::v3lockpb::lock_server::Lock;
use disco_proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use tonic::{Request, Response, Status};

use super::queue::Queue;
use super::{EtcdService, errors};

#[tonic::async_trait]
impl Lock for EtcdService {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        self.admit(&request)?;
        let _open = self.stay(&request)?;
        let LockRequest { name, lease } = request.into_inner();
        let queue = Queue::new(&name);
        let place = self.take_place(&queue, lease, Bytes::new()).await?;
        let revision = self.wait_until_first(&queue, &place).await?;
        Ok(Response::new(LockResponse { header: self.header(revision), key: place.key }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        self.admit(&request)?;
        let key = request.into_inner().key;
        if key.is_empty() {
            return Err(errors::empty_key());
        }
        let delete = DeleteRangeRequest { key, ..DeleteRangeRequest::default() };
        match self.write(Operation::DeleteRange(delete)).await? {
            (revision, Answer::DeleteRange(_)) => Ok(Response::new(UnlockResponse { header: self.header(revision) })),
            _ => Err(errors::unexpected()),
        }
    }
}
