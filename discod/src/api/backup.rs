//! Backups: the whole store as one file, and a new cluster that starts from it.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::backup_part::Part;
use disco_proto::v1::{BackupPart, Empty, FetchBackupRequest, ListBackupsRequest, ListBackupsResponse};
use tonic::{Request, Response, Status, Streaming};

use super::Answers;
use super::forward::{Answer, relay, relayed, to_leader_for_sessions, to_node, to_node_for_sessions};
use super::outgoing::Outgoing;
use crate::cluster::Error;
use crate::cluster::backups::{self, Restore};
use crate::node::Node;

/// Bytes in one message.
const PART: usize = 64 << 10;
/// Time limit for another node to list its backups.
const LISTED: Duration = Duration::from_secs(4);

/// The store as it is now: every write acknowledged before the call, and nothing partial.
pub(super) async fn backup(node: &Node, request: Request<Empty>) -> Result<Response<Answers<BackupPart>>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Answer::There(mut forward) = to_leader_for_sessions(node, &metadata).await? {
        let request = forward.request(message);
        return relay(forward.client.backup(request).await);
    }
    node.raft().linearizable().await.map_err(Error::from)?;
    let node = node.clone();
    Ok(Response::new(Outgoing::stream("could not send the backup", move |outgoing| {
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

/// Lists the backups that a node has made by itself.
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
    Ok(Response::new(ListBackupsResponse { backups: backups::list(node).await? }))
}

/// Sends one of them.
pub(super) async fn fetch(
    node: &Node,
    request: Request<FetchBackupRequest>,
) -> Result<Response<Answers<BackupPart>>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node_for_sessions(node, message.node_id, &metadata)? {
        let request = forward.request(message);
        return relay(forward.client.fetch_backup(request).await);
    }
    let (head, mut file) = backups::open(node, message.name).await?;
    Ok(Response::new(Outgoing::stream("could not send the backup", move |outgoing| {
        outgoing.send(BackupPart { part: Some(Part::Head(head)) })?;
        let mut data = BufWriter::with_capacity(PART, Data(outgoing));
        io::copy(&mut file, &mut data)?;
        data.flush()
    })))
}

/// Takes a backup for this node's next start, which follows immediately.
pub(super) async fn restore(node: &Node, mut parts: Streaming<BackupPart>) -> Result<Response<Empty>, Status> {
    let Some(BackupPart { part: Some(Part::Head(head)) }) = parts.message().await? else {
        return Err(Status::invalid_argument("the first message of a backup must be its head"));
    };
    let mut restore = Restore::begin(node, head).await?;
    while let Some(part) = parts.message().await? {
        let Some(Part::Data(data)) = part.part else {
            return Err(Status::invalid_argument("a backup must have exactly one head"));
        };
        restore.write(&data).await?;
    }
    restore.finish().await?;
    Ok(Response::new(Empty {}))
}
