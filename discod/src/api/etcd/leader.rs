//! Clients that would rather hear that there is no leader than wait: etcd's metadata `hasleader`.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::errors;
use crate::api::Answers;
use crate::node::Node;

/// The name of the metadata; its value is `true`.
const HAS_LEADER: &str = "hasleader";
/// Elections that may fail before a stream is told, as etcd's `maxNoLeaderCnt`.
const ELECTIONS: u32 = 3;

fn is_wanted(metadata: &MetadataMap) -> bool {
    metadata.get(HAS_LEADER).is_some_and(|value| value == "true")
}

/// Refuses the request if it wants a leader and none is known.
pub(super) fn check(node: &Node, metadata: &MetadataMap) -> Result<(), Status> {
    if is_wanted(metadata) && node.raft().leadership().borrow().leader.is_none() {
        return Err(errors::no_leader());
    }
    Ok(())
}

/// The stream, which ends with an error when its client wants a leader and there was none for a while.
pub(super) fn with_leader<T: Send + 'static>(node: &Node, metadata: &MetadataMap, answers: Answers<T>) -> Answers<T> {
    if !is_wanted(metadata) {
        return answers;
    }
    let lost = Box::pin(lost(node.clone()));
    Box::pin(WithLeader { answers, lost: Some(lost) })
}

async fn lost(node: Node) {
    let limit = node.raft().pace().election_timeout() * ELECTIONS;
    let mut leadership = node.raft().leadership();
    loop {
        if leadership.wait_for(|now| now.leader.is_none()).await.is_err() {
            return;
        }
        // None that comes in time.
        if tokio::time::timeout(limit, leadership.wait_for(|now| now.leader.is_some())).await.is_err() {
            return;
        }
    }
}

struct WithLeader<T, F> {
    answers: Answers<T>,
    /// `None` when it was told.
    lost: Option<Pin<Box<F>>>,
}

impl<T, F: Future<Output = ()>> Stream for WithLeader<T, F> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(lost) = &mut self.lost else { return Poll::Ready(None) };
        if lost.as_mut().poll(cx).is_ready() {
            self.lost = None;
            return Poll::Ready(Some(Err(errors::no_leader())));
        }
        self.answers.as_mut().poll_next(cx)
    }
}
