//! The receiving side of Raft's messages.
//!
//! A message is accepted only from the node that the sender's certificate names, and only by the node that it is for.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use disco_consensus::types::TypeConfig;
use disco_consensus::{SnapshotFile, codec};
use disco_proto::v1::raft_server::Raft as RaftApi;
use disco_proto::v1::{RaftMessage, SnapshotPart, snapshot_part};
use futures_util::{Stream, StreamExt};
use openraft::Snapshot as OpenraftSnapshot;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tonic::{Request, Response, Status, Streaming};

use super::RaftNode;
use super::message::{life_of, message};
use super::network::SnapshotHead;

/// The answers of a stream of entries.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<RaftMessage, Status>> + Send>>;

/// The service `disco.v1.Raft` of one node.
#[derive(Clone)]
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

    /// Checks sender and receiver, and decodes.
    async fn open<T: DeserializeOwned>(&self, request: Request<RaftMessage>) -> Result<T, Status> {
        disco_identity::require_sender(&request, request.get_ref().from)?;
        self.payload(request.into_inner()).await
    }

    /// Checks that a message of a stream is from the node that opened it, and decodes.
    async fn open_from<T: DeserializeOwned>(&self, peer: u64, message: RaftMessage) -> Result<T, Status> {
        if message.from != peer {
            return Err(Status::permission_denied(format!(
                "node {peer} sent a message in the name of node {}",
                message.from
            )));
        }
        self.payload(message).await
    }

    async fn payload<T: DeserializeOwned>(&self, message: RaftMessage) -> Result<T, Status> {
        if message.to != self.node.id() {
            return Err(Status::failed_precondition(format!(
                "this is node {}, but the message is for node {}",
                self.node.id(),
                message.to
            )));
        }
        let known = self.node.check_life(message.from, life_of(&message), &message.earlier).await;
        known.map_err(|error| Status::failed_precondition(error.to_string()))?;
        codec::decode(&message.payload).map_err(|error| Status::invalid_argument(error.to_string()))
    }

    fn answer<T: Serialize>(&self, to: u64, value: &T) -> Result<Response<RaftMessage>, Status> {
        let message = message(self.node.id(), self.node.start(), to, value);
        message.map(Response::new).map_err(|error| Status::internal(error.to_string()))
    }
}

/// openraft's errors are those of this node (it stops, its disk failed), not of the message.
fn unavailable(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl RaftApi for RaftService {
    type AppendStreamStream = Answers;

    async fn append_entries(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let message: AppendEntriesRequest<TypeConfig> = self.open(request).await?;
        self.node.heard(from);
        let answer = self.node.raft().append_entries(message).await.map_err(unavailable)?;
        self.answer(from, &answer)
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<RaftMessage>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let peer = disco_identity::require_node(&request)?;
        let (service, refused) = (self.clone(), Arc::new(OnceLock::new()));
        let refusal = refused.clone();
        let messages = request.into_inner().scan(refused, move |refused, message| {
            let (service, refused) = (service.clone(), refused.clone());
            async move {
                let opened = match message {
                    Ok(message) => service.open_from(peer, message).await,
                    Err(status) => Err(status),
                };
                if opened.is_ok() {
                    service.node.heard(peer);
                }
                // The error that breaks the stream is its last answer.
                opened.map_err(|status| refused.set(status)).ok()
            }
        });
        let messages = Box::pin(messages);
        let (service, node) = (self.clone(), self.node.clone());
        let answers = self.node.raft().stream_append(messages).map(move |answer| {
            let answer = AppendEntriesResponse::<TypeConfig>::from(answer.map_err(unavailable)?);
            service.answer(peer, &answer).map(Response::into_inner)
        });
        let stopped = async move { node.stopped().await };
        let end = futures_util::stream::once(async move { refusal.get().cloned() })
            .filter_map(|status| async { status.map(Err) });
        Ok(Response::new(Box::pin(answers.take_until(stopped).chain(end))))
    }

    async fn vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let message: VoteRequest<TypeConfig> = self.open(request).await?;
        let answer = self.node.raft().vote(message).await.map_err(unavailable)?;
        self.answer(from, &answer)
    }

    async fn pre_vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let message: VoteRequest<TypeConfig> = self.open(request).await?;
        let answer = self.node.raft().pre_vote(message).await.map_err(unavailable)?;
        self.answer(from, &answer)
    }

    async fn transfer_leader(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let message: TransferLeaderRequest<TypeConfig> = self.open(request).await?;
        let answer = self.node.raft().handle_transfer_leader(message).await.map_err(unavailable)?;
        self.answer(from, &answer)
    }

    async fn identify(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let peer = disco_identity::require_node(&request)?;
        let (from, life) = (self.node.id(), self.node.start().life);
        let (to, incarnation, run) = (peer, life.number, life.run);
        Ok(Response::new(RaftMessage { from, to, incarnation, run, ..RaftMessage::default() }))
    }

    async fn read_index(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let from = request.get_ref().from;
        let () = self.open(request).await?;
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
            return Err(Status::invalid_argument("the first message of a snapshot must be its head"));
        };
        let SnapshotHead { vote, meta } = self.open_from(peer, head).await?;
        let path = self.node.disk().snapshots().partial();
        // Whatever fails, nothing is left behind: the file is removed unless it became the recorded one.
        let partial = PartialFile(path.clone());
        receive(&mut parts, &path).await?;
        let snapshot = OpenraftSnapshot { meta, snapshot: SnapshotFile { path } };
        let raft = self.node.raft().clone();
        let install = async move { raft.install_full_snapshot(vote, snapshot).await };
        let answer = with_file(partial, install).await.map_err(unavailable)?.map_err(unavailable)?;
        self.answer(peer, &answer)
    }
}

/// Writes the received parts to the file.
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
            _ => return Err(Status::invalid_argument("a snapshot must have exactly one head")),
        }
    }
    file.sync_all().await.map_err(failed)
}

/// Runs work that needs the file to its end, and only then releases the file, even if its caller has stopped waiting:
/// the sender may give up at any moment, and a received snapshot that disappears is fatal to Raft.
async fn with_file<T: Send + 'static>(
    file: PartialFile,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::spawn(async move {
        let done = work.await;
        drop(file);
        done
    })
    .await
}

/// Removes a file that was not taken over.
struct PartialFile(std::path::PathBuf);

impl Drop for PartialFile {
    fn drop(&mut self) {
        // Taken over means renamed, so there is nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_snapshot_outlives_its_sender_until_it_is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("received.tmp");
        std::fs::write(&path, "a snapshot").unwrap();
        let (go_on, wait) = tokio::sync::oneshot::channel();
        let (read, mut was_read) = (path.clone(), tokio::sync::mpsc::channel(1));
        let work = async move {
            wait.await.unwrap();
            was_read.0.send(std::fs::read_to_string(read).is_ok()).await.unwrap();
        };
        let mut request = Box::pin(with_file(PartialFile(path.clone()), work));
        assert!(request.as_mut().now_or_never().is_none());
        drop(request);
        go_on.send(()).unwrap();
        assert_eq!(was_read.1.recv().await, Some(true));
        tokio::time::timeout(Duration::from_secs(10), async {
            while path.exists() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}
