//! Keys: reading, writing, transactions, compaction.

use disco_proto::etcdserverpb::kv_server::Kv;
use disco_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use disco_proto::v1::CompactRequest;
use disco_proto::v1::command::Operation;
use disco_proto::v1::command_response::Result as Answer;
use tonic::{Request, Response, Status};

use super::{EtcdService, check, convert, errors};

#[tonic::async_trait]
impl Kv for EtcdService {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        self.admit(&request)?;
        let range = request.into_inner();
        check::range(&range)?;
        if !range.serializable {
            self.barrier().await?;
        }
        let range = convert::range(range);
        let answer = self.view(|keys| keys.range(&range)).map_err(errors::of_read)?;
        let header = self.header(answer.revision);
        Ok(Response::new(RangeResponse { header, ..convert::range_response(answer) }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.admit(&request)?;
        let put = request.into_inner();
        check::put(&put)?;
        match self.write(Operation::Put(convert::put(put))).await? {
            (revision, Answer::Put(answer)) => {
                Ok(Response::new(PutResponse { header: self.header(revision), ..convert::put_response(answer) }))
            }
            _ => Err(errors::unexpected()),
        }
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        self.admit(&request)?;
        let delete = request.into_inner();
        if delete.key.is_empty() {
            return Err(errors::empty_key());
        }
        match self.write(Operation::DeleteRange(convert::delete(delete))).await? {
            (revision, Answer::DeleteRange(answer)) => {
                let header = self.header(revision);
                Ok(Response::new(DeleteRangeResponse { header, ..convert::delete_response(answer) }))
            }
            _ => Err(errors::unexpected()),
        }
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        self.admit(&request)?;
        let txn = request.into_inner();
        check::txn(&txn)?;
        let answer = if check::is_read_only(&txn) {
            if !check::is_serializable(&txn) {
                self.barrier().await?;
            }
            let txn = convert::txn(txn);
            let answer = self.view(|keys| keys.range_txn(&txn));
            answer.map_err(|refused| errors::of_refusal(refused.refusal, &refused.message))?
        } else {
            match self.write(Operation::Txn(convert::txn(txn))).await? {
                (_, Answer::Txn(answer)) => answer,
                _ => return Err(errors::unexpected()),
            }
        };
        let header = self.header(answer.revision);
        Ok(Response::new(TxnResponse { header, ..convert::txn_response(answer) }))
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        self.admit(&request)?;
        let revision = request.into_inner().revision;
        match self.write(Operation::Compact(CompactRequest { revision })).await? {
            (revision, Answer::Compact(_)) => Ok(Response::new(CompactionResponse { header: self.header(revision) })),
            _ => Err(errors::unexpected()),
        }
    }
}
