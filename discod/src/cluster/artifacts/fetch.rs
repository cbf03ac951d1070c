//! Fetches a content from other nodes.

use std::time::Duration;

use disco_proto::v1::ReadArtifactRequest;
use disco_store::typed::FileRecord;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::sources::{Peer, order};
use super::{blobs, blocking, short, space};
use crate::local::artifacts::{Content, Flight, NotFetched, NotReceived, Receipt, landed};
use crate::node::Node;
use crate::peers::RemoteError;
use crate::raft::Role;

/// Time without a byte after which the next node is asked. The other node may have to check the content first.
const STALL: Duration = Duration::from_secs(30);

/// Makes a content be on this node's disk: it may be there, be in the store since the previous version of Disco, or be on other
/// nodes. `received` is called with the bytes so far.
///
/// # Errors
/// See [`NotFetched`].
pub async fn ensure(node: &Node, content: &Content, received: impl FnMut(u64)) -> Result<(), NotFetched> {
    super::content(&content.sha256, content.size, content.mode)
        .map_err(|error| NotFetched::Failed(error.to_string()))?;
    let (artifacts, own) = (node.artifacts().clone(), content.clone());
    if blocking(move || artifacts.has(&own)).await.map_err(failed)? {
        return Ok(());
    }
    if node.raft().store().read(|store| blobs::exists(store, &content.sha256)) {
        return from_store(node, content).await;
    }
    landed(obtain(node, content, None), received).await
}

/// Fetches a content from other nodes: first from this one, if it is given.
#[must_use]
pub fn obtain(node: &Node, content: &Content, first: Option<u64>) -> watch::Receiver<Flight> {
    let (own, content) = (node.clone(), content.clone());
    let sha256 = content.sha256.clone();
    node.artifacts().flights().join(&sha256, |flight| async move { fetch(&own, &content, first, &flight).await })
}

/// Of a version that an older client or cluster has deployed.
async fn from_store(node: &Node, content: &Content) -> Result<(), NotFetched> {
    let (own, content) = (node.clone(), content.clone());
    let file = FileRecord {
        path: short(&content.sha256).to_owned(),
        sha256: content.sha256.clone(),
        size: content.size,
        mode: content.mode,
    };
    blocking(move || {
        // A copy, since a content may be large, and writes wait for a reader.
        let bytes = blobs::read(&own.raft().store().copy(), &file).map_err(std::io::Error::other)?;
        own.artifacts().write(&content, &bytes).map_err(std::io::Error::other)
    })
    .await
    .map_err(failed)
}

/// Why a node did not send it.
enum NotSent {
    /// It does not have it.
    Lacks,
    /// It does not answer, or broke off.
    Broken(String),
    /// This node cannot store it.
    Here(NotFetched),
}

async fn fetch(
    node: &Node,
    content: &Content,
    first: Option<u64>,
    flight: &watch::Sender<Flight>,
) -> Result<(), NotFetched> {
    space::require(node, content.size).await.map_err(NotFetched::NoSpace)?;
    let sources = order(node.id(), &content.sha256, first, &peers(node));
    let mut broken = Vec::new();
    for source in &sources {
        let why = match from_one(node, content, *source, flight).await {
            Ok(()) => return Ok(()),
            Err(NotSent::Lacks) => continue,
            Err(NotSent::Here(error)) => return Err(error),
            Err(NotSent::Broken(why)) => why,
        };
        tracing::debug!(source, sha256 = content.sha256, why, "a node did not send a program's file");
        broken.push(format!("{}: {why}", node.name_of(*source)));
    }
    if broken.is_empty() {
        let count = sources.len();
        return Err(NotFetched::Nowhere(format!(
            "no node has the content {}: asked {count} other nodes; deploy it again",
            short(&content.sha256)
        )));
    }
    Err(NotFetched::Unreachable(format!("cannot fetch the content {}: {}", short(&content.sha256), broken.join("; "))))
}

fn peers(node: &Node) -> Vec<Peer> {
    let leader = node.raft().leadership().borrow().leader;
    let members = node.raft().members();
    let peer = |id: u64, is_voter: bool| Peer {
        id,
        is_voter,
        is_leader: Some(id) == leader,
        is_unreachable: node.peers().why_not_reached(id).is_some(),
    };
    members.iter().map(|member| peer(member.id, member.role == Role::Voter)).collect()
}

async fn from_one(node: &Node, content: &Content, source: u64, flight: &watch::Sender<Flight>) -> Result<(), NotSent> {
    let client = node.bulk_client(source).ok_or_else(|| NotSent::Broken("it is no member any more".to_owned()))?;
    let (artifacts, own) = (node.artifacts().clone(), content.clone());
    let mut receipt = blocking(move || artifacts.receive(&own)).await.map_err(here)?;
    let offset = receipt.received();
    let request = ReadArtifactRequest { sha256: content.sha256.clone(), size: content.size, offset };
    let mut parts = client.read_artifact(request).await.map_err(remote)?;
    // Also where nothing is left to send: the other node may lack it.
    loop {
        let part = match tokio::time::timeout(STALL, parts.next()).await {
            Err(_) => return Err(NotSent::Broken(format!("nothing received within {} s", STALL.as_secs()))),
            Ok(None) => break,
            Ok(Some(part)) => part.map_err(remote)?,
        };
        receipt = write(receipt, part.data).await.map_err(here)?;
        let received = receipt.received();
        flight.send_modify(|flight| flight.received = received);
    }
    if !receipt.is_complete() {
        return Err(NotSent::Broken(format!("it ended after {} of {} bytes", receipt.received(), content.size)));
    }
    finish(receipt).await.map_err(|error| match error {
        NotReceived::Wrong(why) => NotSent::Broken(why),
        NotReceived::Io(error) => here(error),
    })
}

/// Takes the next bytes.
pub(super) async fn write(mut receipt: Receipt, data: bytes::Bytes) -> std::io::Result<Receipt> {
    blocking(move || receipt.write(&data).map(|()| receipt)).await
}

/// Checks the content, and gives it its name.
pub(super) async fn finish(receipt: Receipt) -> Result<(), NotReceived> {
    tokio::task::spawn_blocking(move || receipt.finish()).await.map_err(std::io::Error::other)?
}

fn remote(error: RemoteError) -> NotSent {
    if error.is_not_found() { NotSent::Lacks } else { NotSent::Broken(error.to_string()) }
}

fn here(error: std::io::Error) -> NotSent {
    NotSent::Here(failed(error))
}

fn failed(error: std::io::Error) -> NotFetched {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => NotFetched::NoSpace(error.to_string()),
        _ => NotFetched::Failed(error.to_string()),
    }
}
