//! Backups: the whole store as one file, and a new cluster that begins with it.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::backup_part::Part;
use disco_proto::v1::{
    BackupFile, BackupHead, BackupPart, Empty, FetchBackupRequest, ListBackupsRequest, ListBackupsResponse,
};
use disco_store::Limits;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tonic::{Request, Response, Status, Streaming};

use super::forward::{Answer, relay, relayed, to_leader, to_node};
use super::outgoing::Outgoing;
use super::{Answers, internal};
use crate::backups::{self, Folder};
use crate::node::Node;
use crate::raft::{check_backup, restore_place};

/// Bytes in one message.
const PART: usize = 64 << 10;
/// Time for another node to list what it has.
const LISTED: Duration = Duration::from_secs(4);
/// Time for the answer to reach the operator before the process ends.
const FAREWELL: Duration = Duration::from_millis(200);

/// The store as it is now: all that was acknowledged before the call, and nothing half done.
pub(super) async fn backup(node: &Node, request: Request<Empty>) -> Result<Response<Answers<BackupPart>>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Answer::There(mut forward) = to_leader(node, &metadata).await? {
        let request = forward.request(message);
        return relay(forward.client.backup(request).await);
    }
    node.raft().linearizable().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let node = node.clone();
    Ok(Response::new(Outgoing::stream("the backup was not sent", move |outgoing| {
        let (head, store) = backups::take(&node)?;
        outgoing.send(BackupPart { part: Some(Part::Head(head)) })?;
        store.encode_snapshot(Data(outgoing)).map(drop)
    })))
}

/// Each piece that is written is sent.
struct Data<'a>(&'a Outgoing<BackupPart>);

impl Write for Data<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PART)];
        self.0.send(BackupPart { part: Some(Part::Data(Bytes::copy_from_slice(piece))) })?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The backups that a node has made by itself.
pub(super) async fn list(
    node: &Node,
    request: Request<ListBackupsRequest>,
) -> Result<Response<ListBackupsResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node(node, message.node_id, &metadata)? {
        let mut request = forward.request(message);
        request.set_timeout(LISTED);
        return forward.client.list_backups(request).await.map_err(relayed);
    }
    let folder = Folder::within(node.home().path());
    let listed = tokio::task::spawn_blocking(move || {
        let listed = folder.list()?.into_iter().filter_map(|kept| match folder.open(&kept) {
            Ok((head, _)) => Some(BackupFile { name: kept.name, size: kept.size, head: Some(head) }),
            Err(error) => {
                tracing::warn!(%error, "a backup cannot be read");
                None
            }
        });
        io::Result::Ok(listed.collect())
    });
    let backups = listed.await.map_err(internal)?.map_err(internal)?;
    Ok(Response::new(ListBackupsResponse { backups }))
}

/// One of them.
pub(super) async fn fetch(
    node: &Node,
    request: Request<FetchBackupRequest>,
) -> Result<Response<Answers<BackupPart>>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node(node, message.node_id, &metadata)? {
        let request = forward.request(message);
        return relay(forward.client.fetch_backup(request).await);
    }
    let folder = Folder::within(node.home().path());
    let FetchBackupRequest { name, .. } = message;
    let nothing = match name.as_str() {
        "" => format!("{} has made no backup yet", node.name()),
        name => format!("{} has no backup `{name}`", node.name()),
    };
    let opened = tokio::task::spawn_blocking(move || {
        // By what is there, so that a name leads nowhere else.
        let found = folder.list()?.into_iter().rfind(|kept| name.is_empty() || kept.name == name);
        found.map(|kept| folder.open(&kept)).transpose()
    });
    let opened = opened.await.map_err(internal)?.map_err(internal)?;
    let missing = || Status::not_found(format!("{nothing}\nhint: `disco backup ls` shows what there is"));
    let (head, mut file) = opened.ok_or_else(missing)?;
    Ok(Response::new(Outgoing::stream("the backup was not sent", move |outgoing| {
        outgoing.send(BackupPart { part: Some(Part::Head(head)) })?;
        let mut data = BufWriter::with_capacity(PART, Data(outgoing));
        io::copy(&mut file, &mut data)?;
        data.flush()
    })))
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
    let Some(BackupPart { part: Some(Part::Head(head)) }) = parts.message().await? else {
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
    let options = tokio::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).to_owned();
    let mut file = options.open(path).await.map_err(failed)?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(part) = parts.message().await? {
        let Some(Part::Data(data)) = part.part else {
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
