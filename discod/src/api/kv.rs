//! Reads, writes and watches of the store.

use disco_proto::v1::{
    CommandResponse, ProposeRequest, ProposeResponse, RangeResponse, ReadRequest, WatchRequest, WatchResponse, command,
};
use disco_store::{Compacted, ReadError};
use futures_util::{StreamExt, TryStreamExt};
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, write_status};
use crate::node::{MAX_MESSAGE_BYTES, Node};
use crate::raft::ReadIndexError;

/// Watch answers that may wait for a slow client before the stream waits for it.
const UNDER_WAY: usize = 8;
/// Writes of one other node that are worked on at the same time.
const HANDED_ON: usize = 1024;
/// What an answer in a stream has besides the response, at most.
const ANSWER_HEAD: usize = 64;
/// Where Disco's own records are. Only Disco writes there.
const OWN_PREFIX: &[u8] = b"/disco/";
const OWN_KEYS: &str = "keys under `/disco/` are Disco's own and can only be read";

pub(super) async fn propose(
    node: &Node,
    request: Request<ProposeRequest>,
) -> Result<Response<ProposeResponse>, Status> {
    let from_operator = disco_identity::require_operator(&request).is_ok();
    let mut request = request.into_inner();
    if let Some(command) = &mut request.command
        && from_operator
    {
        guard_own_keys(node, command)?;
        // Terms are the leader's business.
        command.only_in_term = 0;
    }
    let response = perform(node, request).await?;
    Ok(Response::new(ProposeResponse { response: Some(response), ..ProposeResponse::default() }))
}

/// The same for what another node hands on, many at a time.
pub(super) fn propose_all(node: &Node, requests: Streaming<ProposeRequest>) -> Answers<ProposeResponse> {
    let node = node.clone();
    // After that nothing can be done for whoever keeps the stream open.
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

/// Refuses an answer that the stream does not take, which would end it for all others. What was asked for is done all the same.
fn fits(response: CommandResponse) -> Result<CommandResponse, Status> {
    let bytes = response.encoded_len();
    if bytes + ANSWER_HEAD > MAX_MESSAGE_BYTES {
        return Err(Status::out_of_range(format!(
            "the answer has {bytes} bytes, and nodes hand on {MAX_MESSAGE_BYTES} at most"
        )));
    }
    Ok(response)
}

async fn perform(node: &Node, request: ProposeRequest) -> Result<CommandResponse, Status> {
    let ProposeRequest { command, hops, .. } = request;
    let mut command = command.ok_or_else(|| Status::invalid_argument("there is no command"))?;
    let limits = node.raft().store().read(|store| *store.limits());
    if let Err(refused) = disco_store::validate(&command, &limits) {
        // As the store itself would answer, so that the reason has its name wherever the command came in.
        return Ok(refused.into_response(node.raft().store().read(disco_store::Store::revision)));
    }
    command.proposed_at_ms = crate::clock::unix_ms();
    node.submit_raw(command, hops).await.map_err(write_status)
}

/// Refuses commands that would change Disco's own records.
pub(super) fn guard_own_keys(node: &Node, command: &disco_proto::v1::Command) -> Result<(), Status> {
    let own_lease = |id: i64| {
        let attached = |store: &disco_store::Store| {
            store.lease(id).is_some_and(|lease| lease.keys().any(|key| key.starts_with(OWN_PREFIX)))
        };
        node.raft().store().read(attached)
    };
    let touches = match &command.operation {
        Some(command::Operation::Put(put)) => put.key.starts_with(OWN_PREFIX),
        Some(command::Operation::DeleteRange(delete)) => overlaps_own(&delete.key, &delete.range_end),
        Some(command::Operation::Txn(txn)) => txn_touches_own(txn),
        Some(command::Operation::LeaseRevoke(revoke)) => own_lease(revoke.id),
        _ => false,
    };
    if touches {
        return Err(Status::permission_denied(OWN_KEYS));
    }
    Ok(())
}

fn txn_touches_own(txn: &disco_proto::v1::TxnRequest) -> bool {
    use disco_proto::v1::request_op::Request as Op;
    txn.success.iter().chain(&txn.failure).any(|op| match &op.request {
        Some(Op::Put(put)) => put.key.starts_with(OWN_PREFIX),
        Some(Op::DeleteRange(delete)) => overlaps_own(&delete.key, &delete.range_end),
        Some(Op::Txn(txn)) => txn_touches_own(txn),
        Some(Op::Range(_)) | None => false,
    })
}

/// Whether a range of keys has any under the own prefix.
fn overlaps_own(key: &[u8], range_end: &[u8]) -> bool {
    // `/disco/` up to `/disco0`, the next byte string after all that start so.
    let own_end: &[u8] = b"/disco0";
    match range_end {
        [] => key.starts_with(OWN_PREFIX),
        [0] => key < own_end,
        end => key < own_end && end > OWN_PREFIX,
    }
}

pub(super) async fn range(node: &Node, request: Request<ReadRequest>) -> Result<Response<RangeResponse>, Status> {
    let ReadRequest { range, stale } = request.into_inner();
    let range = range.ok_or_else(|| Status::invalid_argument("there is no range"))?;
    if !stale {
        let limit = node.raft().pace().election_timeout() * 6;
        node.raft().read_barrier(limit).await.map_err(read_status)?;
    }
    let response = node.raft().store().read(|store| store.range(&range)).map_err(read_error)?;
    Ok(Response::new(response))
}

fn read_status(error: ReadIndexError) -> Status {
    Status::unavailable(error.to_string())
}

pub(super) fn read_error(error: ReadError) -> Status {
    Status::out_of_range(error.to_string())
}

/// Tells all changes from a revision on, from this node's own state.
pub(super) fn watch(node: &Node, request: WatchRequest) -> Result<Answers<WatchResponse>, Status> {
    if request.start_revision < 0 {
        return Err(Status::invalid_argument(
            "`start_revision` is negative; the first revision is 1, and 0 means from now on",
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
        // The first answer says that the watch stands, and from where.
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
                    // The watch ends either way.
                    let _ = sender.send(Ok(answer)).await;
                    return;
                }
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Events that are told in one answer, so that a watch from far back holds no lock for long.
const EVENTS_AT_ONCE: usize = 256;

/// The changes from `next` on, and where to go on; `None` when there is nothing new.
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

#[cfg(test)]
mod tests {
    use super::overlaps_own;

    #[test]
    fn ranges_that_reach_into_the_own_keys_are_seen() {
        assert!(overlaps_own(b"/disco/nodes/1", b""));
        assert!(overlaps_own(b"/", b"0"));
        assert!(overlaps_own(b"", b"\0"));
        assert!(overlaps_own(b"a", b"\0") == (b"a".as_slice() < b"/disco0".as_slice()));
        assert!(!overlaps_own(b"/disco", b""));
        assert!(!overlaps_own(b"/disco0", b"/z"));
        assert!(!overlaps_own(b"/app/", b"/app0"));
        assert!(!overlaps_own(b"0", b"\0"));
    }
}
