//! Backups: the whole store as one file, and a new cluster that begins with it.

use std::io;
use std::path::Path;
use std::time::Duration;

use disco_proto::v1::{BackupHead, BackupPart, Empty, backup_part};
use disco_store::Limits;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::forward::{Answer, to_leader};
use super::{Answers, internal};
use crate::node::Node;
use crate::raft::{check_backup, restore_place};

/// Bytes in one message, and messages under way.
const PART: usize = 64 << 10;
const UNDER_WAY: usize = 4;
/// Time for the answer to reach the operator before the process ends.
const FAREWELL: Duration = Duration::from_millis(200);

/// The store as it is now: all that was acknowledged before the call, and nothing half done.
pub(super) async fn backup(node: &Node, request: Request<Empty>) -> Result<Response<Answers<BackupPart>>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Answer::There(mut forward) = to_leader(node, &metadata).await? {
        let request = forward.request(message);
        return Ok(Response::new(forward.client.backup(request).await?.into_inner().boxed()));
    }
    node.raft().linearizable().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut bytes = Vec::new();
    let (encoded, revision) = node.raft().store().read(|store| (store.encode_snapshot(&mut bytes), store.revision()));
    encoded.map_err(internal)?;
    let head = BackupHead {
        cluster: node.cluster_name().to_owned(),
        cluster_id: node.cluster_id().to_string(),
        revision,
        created_at: crate::clock::rfc3339(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        size: bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(&bytes)),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(UNDER_WAY);
    tokio::spawn(async move {
        let bytes = bytes::Bytes::from(bytes);
        let head = BackupPart { part: Some(backup_part::Part::Head(head)) };
        let starts = (0..bytes.len()).step_by(PART);
        let data = starts.map(|at| bytes.slice(at..bytes.len().min(at + PART)));
        let parts = data.map(|data| BackupPart { part: Some(backup_part::Part::Data(data)) });
        for part in std::iter::once(head).chain(parts) {
            if sender.send(Ok(part)).await.is_err() {
                // Nobody wants it any more.
                return;
            }
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver).boxed()))
}

/// Takes a backup for this node's next start, which follows at once.
pub(super) async fn restore(node: &Node, mut parts: Streaming<BackupPart>) -> Result<Response<Empty>, Status> {
    let members = node.raft().members().len();
    if members != 1 {
        return Err(Status::failed_precondition(format!(
            "the cluster has {members} nodes, and a backup is restored where there is one\nhint: `disco scale nodes=1` first, and \
             back afterwards"
        )));
    }
    let Some(BackupPart { part: Some(backup_part::Part::Head(head)) }) = parts.message().await? else {
        return Err(Status::invalid_argument("a backup starts with its head"));
    };
    let place = restore_place(node.home().path());
    let partial = place.with_extension("tmp");
    let received = receive(&mut parts, &partial, &head).await;
    if received.is_err() {
        // It is written over the next time.
        let _ = tokio::fs::remove_file(&partial).await;
    }
    received?;
    let checked = partial.clone();
    let revision = tokio::task::spawn_blocking(move || check_backup(&checked, Limits::default())).await;
    let revision = revision.map_err(internal)?.map_err(|error| Status::invalid_argument(error.to_string()))?;
    keep(&partial, &place).await.map_err(internal)?;
    tracing::warn!(revision, from = head.cluster, "this node starts again with a backup");
    let node = node.clone();
    tokio::spawn(async move {
        tokio::time::sleep(FAREWELL).await;
        node.restart();
    });
    Ok(Response::new(Empty {}))
}

async fn receive(parts: &mut Streaming<BackupPart>, path: &Path, head: &BackupHead) -> Result<(), Status> {
    let failed = |error: io::Error| internal(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(part) = parts.message().await? {
        let Some(backup_part::Part::Data(data)) = part.part else {
            return Err(Status::invalid_argument("a backup has one head"));
        };
        size += data.len() as u64;
        if size > head.size {
            return Err(Status::invalid_argument("the backup is longer than it says"));
        }
        hash.update(&data);
        file.write_all(&data).await.map_err(failed)?;
    }
    if size != head.size || hex::encode(hash.finalize()) != head.sha256 {
        return Err(Status::invalid_argument("the backup is damaged: its checksum is wrong"));
    }
    file.sync_all().await.map_err(failed)
}

async fn keep(partial: &Path, place: &Path) -> io::Result<()> {
    tokio::fs::rename(partial, place).await?;
    let folder = place.parent().unwrap_or(Path::new("."));
    tokio::fs::File::open(folder).await?.sync_all().await
}
