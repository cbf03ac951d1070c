//! The receiving side of Raft's messages.
//!
//! A message is taken only from the node that the sender's certificate names, and only by the node that is meant.

use std::io;

use disco_proto::v1::raft_server::Raft as RaftApi;
use disco_proto::v1::{RaftMessage, SnapshotPart, snapshot_part};
use openraft::Snapshot as OpenraftSnapshot;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tonic::{Request, Response, Status, Streaming};

use super::RaftNode;
use super::codec;
use super::network::SnapshotHead;
use super::snapshot::SnapshotFile;
use super::types::TypeConfig;

/// The service `disco.v1.Raft` of one node.
pub struct RaftService {
    node: RaftNode,
}

// === impl RaftService ===

impl RaftService {
    /// Serves the node.
    #[must_use]
    pub fn new(node: RaftNode) -> Self {
        Self { node }
    }

    /// Checks who speaks to whom, and decodes.
    fn open<T: DeserializeOwned>(&self, request: Request<RaftMessage>) -> Result<T, Status> {
        disco_identity::require_sender(&request, request.get_ref().from)?;
        self.payload(request.into_inner())
    }

    fn payload<T: DeserializeOwned>(&self, message: RaftMessage) -> Result<T, Status> {
        if message.to != self.node.id() {
            return Err(Status::failed_precondition(format!(
                "this is node {}, the message is for node {}",
                self.node.id(),
                message.to
            )));
        }
        codec::decode(&message.payload).map_err(|error| Status::invalid_argument(error.to_string()))
    }

    fn answer<T: Serialize>(&self, to: u64, value: &T) -> Result<Response<RaftMessage>, Status> {
        let payload = codec::encode(value).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(RaftMessage { from: self.node.id(), to, payload: payload.into() }))
    }
}

/// openraft's errors are those of this node (it stops, its disk failed), not of the message.
fn unavailable(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl RaftApi for RaftService {
    async fn append_entries(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let message: AppendEntriesRequest<TypeConfig> = self.open(request)?;
        let answer = self.node.raft().append_entries(message).await.map_err(unavailable)?;
        self.answer(from, &answer)
    }

    async fn vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let message: VoteRequest<TypeConfig> = self.open(request)?;
        let answer = self.node.raft().vote(message).await.map_err(unavailable)?;
        self.answer(from, &answer)
    }

    async fn pre_vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let message: VoteRequest<TypeConfig> = self.open(request)?;
        let answer = self.node.raft().pre_vote(message).await.map_err(unavailable)?;
        self.answer(from, &answer)
    }

    async fn transfer_leader(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let message: TransferLeaderRequest<TypeConfig> = self.open(request)?;
        let answer = self.node.raft().handle_transfer_leader(message).await.map_err(unavailable)?;
        self.answer(from, &answer)
    }

    async fn read_index(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let () = self.open(request)?;
        let index = self.node.read_index().as_leader().await.map_err(unavailable)?;
        self.answer(from, &index)
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotPart>>,
    ) -> Result<Response<RaftMessage>, Status> {
        let peer = disco_identity::require_node(&request)?;
        let mut parts = request.into_inner();
        let Some(SnapshotPart { part: Some(snapshot_part::Part::Head(head)) }) = parts.message().await? else {
            return Err(Status::invalid_argument("a snapshot starts with its head"));
        };
        if head.from != peer {
            return Err(Status::permission_denied(format!("node {peer} speaks in the name of node {}", head.from)));
        }
        let from = head.from;
        let SnapshotHead { vote, meta } = self.payload(head)?;
        let path = self.node.snapshot_dir().partial();
        // Whatever goes wrong, nothing stays behind: the file is gone unless it became the recorded one.
        let partial = PartialFile(path.clone());
        receive(&mut parts, &path).await?;
        let snapshot = OpenraftSnapshot { meta, snapshot: SnapshotFile { path } };
        let answer = self.node.raft().install_full_snapshot(vote, snapshot).await.map_err(unavailable)?;
        drop(partial);
        self.answer(from, &answer)
    }
}

/// Writes what comes to the file.
async fn receive(parts: &mut Streaming<SnapshotPart>, path: &std::path::Path) -> Result<(), Status> {
    let failed = |error: io::Error| {
        let text = format!("{}: {error}", path.display());
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if full { Status::resource_exhausted(text) } else { Status::internal(text) }
    };
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    while let Some(part) = parts.message().await? {
        match part.part {
            Some(snapshot_part::Part::Data(data)) => file.write_all(&data).await.map_err(failed)?,
            _ => return Err(Status::invalid_argument("a snapshot has one head")),
        }
    }
    file.sync_all().await.map_err(failed)
}

/// Removes a file that was not taken over.
struct PartialFile(std::path::PathBuf);

impl Drop for PartialFile {
    fn drop(&mut self) {
        // Taken over means renamed, so there is nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}
