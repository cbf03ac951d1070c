//! Reads, writes and watches of the store.

use disco_proto::v1::{
    CommandResponse, LeaseTimeRequest, LeaseTimeResponse, ProposeRequest, ProposeResponse, RangeResponse, ReadRequest,
    RenewLeasesRequest, RenewLeasesResponse, WatchRequest, WatchResponse,
};
use disco_store::Compacted;
use futures_util::{StreamExt, TryStreamExt};
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Answers;
use super::forward::hops;
use crate::cluster::{self, leases};
use crate::node::Node;
use crate::peers::MAX_MESSAGE_BYTES;

/// Watch answers that may be queued for a slow client before the stream waits.
const UNDER_WAY: usize = 8;
/// Concurrent writes forwarded by one other node.
const HANDED_ON: usize = 1024;
/// Maximum size of an answer in a stream beyond the response.
const ANSWER_HEAD: usize = 64;
pub(super) async fn propose(
    node: &Node,
    request: Request<ProposeRequest>,
) -> Result<Response<ProposeResponse>, Status> {
    let from_operator = disco_identity::require_operator(&request).is_ok();
    let mut request = request.into_inner();
    if let Some(command) = &mut request.command
        && from_operator
    {
        node.check_own_keys(command).map_err(|denied| Status::permission_denied(denied.to_string()))?;
        // Only the leader sets terms.
        command.only_in_term = 0;
    }
    let response = perform(node, request).await?;
    Ok(Response::new(ProposeResponse { response: Some(response), ..ProposeResponse::default() }))
}

/// Like `propose`, for the writes that another node forwards, many at a time.
pub(super) fn propose_all(node: &Node, requests: Streaming<ProposeRequest>) -> Answers<ProposeResponse> {
    let node = node.clone();
    // After that the node cannot serve the stream any longer.
    let raft = node.raft().clone();
    let requests = requests.take_until(Box::pin(async move { raft.stopped().await }));
    let answers = requests.map_ok(move |request| {
        let node = node.clone();
        async move {
            let number = request.number;
            Ok(match perform(&node, request).await.and_then(fits) {
                Ok(response) => ProposeResponse { response: Some(response), number, ..ProposeResponse::default() },
                Err(status) => {
                    let (code, message) = (status.code().into(), status.message().to_owned());
                    ProposeResponse { response: None, number, code, message }
                }
            })
        }
    });
    Box::pin(answers.try_buffer_unordered(HANDED_ON))
}

/// Refuses an answer that is too large for the stream and would end it for all others. The write itself has been
/// applied.
fn fits(response: CommandResponse) -> Result<CommandResponse, Status> {
    let bytes = response.encoded_len();
    if bytes + ANSWER_HEAD > MAX_MESSAGE_BYTES {
        return Err(Status::out_of_range(format!(
            "the response has {bytes} bytes; nodes forward at most {MAX_MESSAGE_BYTES}"
        )));
    }
    Ok(response)
}

async fn perform(node: &Node, request: ProposeRequest) -> Result<CommandResponse, Status> {
    let ProposeRequest { command, hops, .. } = request;
    let mut command = command.ok_or_else(|| Status::invalid_argument("`command` is missing"))?;
    let limits = node.raft().store().read(|store| *store.limits());
    if let Err(refused) = disco_store::validate(&command, &limits) {
        // As the store itself answers, so that the reason has the same name wherever the command came in.
        return Ok(refused.into_response(node.raft().store().read(disco_store::Store::revision)));
    }
    command.proposed_at_ms = crate::clock::unix_ms();
    node.submit_raw(command, hops).await.map_err(Status::from)
}

pub(super) async fn range(node: &Node, request: Request<ReadRequest>) -> Result<Response<RangeResponse>, Status> {
    let ReadRequest { range, stale } = request.into_inner();
    let range = range.ok_or_else(|| Status::invalid_argument("`range` is missing"))?;
    let response = if stale {
        node.read_stale(&range).map_err(cluster::Error::from)?
    } else {
        node.read(&range).await.map_err(cluster::Error::from)?
    };
    Ok(Response::new(response))
}

/// The remaining time of a lease.
pub(super) async fn lease_time(
    node: &Node,
    request: Request<LeaseTimeRequest>,
) -> Result<Response<LeaseTimeResponse>, Status> {
    let hops = hops(request.metadata());
    Ok(Response::new(leases::time(node, hops, request.into_inner()).await?))
}

pub(super) async fn renew_leases(
    node: &Node,
    request: Request<RenewLeasesRequest>,
) -> Result<Response<RenewLeasesResponse>, Status> {
    let hops = hops(request.metadata());
    let ttls = leases::renew(node, hops, request.into_inner().ids).await?;
    Ok(Response::new(RenewLeasesResponse { ttls }))
}

/// Streams all changes from a revision on, from this node's own state.
pub(super) fn watch(node: &Node, request: WatchRequest) -> Result<Answers<WatchResponse>, Status> {
    if request.start_revision < 0 {
        return Err(Status::invalid_argument(
            "`start_revision` must not be negative; the first revision is 1, and 0 means from now on",
        ));
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(UNDER_WAY);
    let store = node.raft().store().clone();
    tokio::spawn(async move {
        let mut revisions = store.revisions();
        let mut next = match request.start_revision {
            0 => store.read(disco_store::Store::revision) + 1,
            revision => revision,
        };
        // The first answer confirms the watch and its start.
        let first = WatchResponse { revision: next - 1, ..WatchResponse::default() };
        if sender.send(Ok(first)).await.is_err() {
            return;
        }
        loop {
            let answer = store.read(|store| changes(store, &request, next));
            match answer {
                Ok(Some((answer, then))) => {
                    next = then;
                    if !answer.events.is_empty() && sender.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    tokio::select! {
                        biased;
                        () = sender.closed() => return,
                        changed = revisions.wait_for(|revision| *revision >= next) => if changed.is_err() { return },
                    }
                }
                Err(compacted) => {
                    let answer =
                        WatchResponse { compact_revision: compacted.compact_revision, ..WatchResponse::default() };
                    // The watch ends in both cases.
                    let _ = sender.send(Ok(answer)).await;
                    return;
                }
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Events in one answer, so that a watch from far back does not hold a lock for long.
const EVENTS_AT_ONCE: usize = 256;

/// The changes from `next` on, and the revision to continue from; `None` if nothing is new.
fn changes(
    store: &disco_store::Store,
    request: &WatchRequest,
    next: i64,
) -> Result<Option<(WatchResponse, i64)>, Compacted> {
    if next > store.revision() {
        return Ok(None);
    }
    let history = store.history(next, &request.key, &request.range_end, EVENTS_AT_ONCE)?;
    let events = history.revisions.into_iter().flat_map(|revision| revision.events).map(|mut event| {
        if !request.prev_kv {
            event.prev_kv = None;
        }
        event
    });
    let answer = WatchResponse { revision: history.next - 1, events: events.collect(), compact_revision: 0 };
    Ok(Some((answer, history.next)))
}
