//! Clients that prefer an error to waiting when no leader exists: etcd's metadata `hasleader`.
//!
//! A node that is cut off keeps believing in the last leader that it knew. So a call is refused when that leader has been
//! silent. As long as a stream wants to know, the node also sends a read index request periodically, which a leader
//! without a quorum does not answer either.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::errors;
use crate::api::Answers;
use crate::node::Node;

/// The name of the metadata; its value is `true`.
const HAS_LEADER: &str = "hasleader";
/// Failed elections before a stream is notified, as etcd's `maxNoLeaderCnt`. Also the pause between two requests.
const ELECTIONS: u32 = 3;

fn is_wanted(metadata: &MetadataMap) -> bool {
    metadata.get(HAS_LEADER).is_some_and(|value| value == "true")
}

/// Refuses the request if it wants a leader and there is none, or it is silent. Also for what needs no leader, such as
/// serializable reads.
pub(super) fn check(node: &Node, metadata: &MetadataMap) -> Result<(), Status> {
    if is_wanted(metadata) && !node.raft().has_leader() {
        return Err(errors::no_leader());
    }
    Ok(())
}

/// Whether a leader exists, for all streams of a node that want to know. Clones share it.
#[derive(Clone, Default)]
pub(super) struct LeaderWatch {
    /// Present while the checking task runs.
    asking: Arc<Mutex<Option<watch::Sender<bool>>>>,
}

// === impl LeaderWatch ===

impl LeaderWatch {
    /// Wraps the stream, which ends with an error when its client wants a leader and none exists.
    pub(super) fn guard<T: Send + 'static>(
        &self,
        node: &Node,
        metadata: &MetadataMap,
        answers: Answers<T>,
    ) -> Answers<T> {
        if !is_wanted(metadata) {
            return answers;
        }
        let mut there = self.subscribe(node);
        let lost = Box::pin(async move {
            // The checking task ends only after all streams.
            let _ = there.wait_for(|there| !there).await;
        });
        Box::pin(WithLeader { answers, lost: Some(lost) })
    }

    fn subscribe(&self, node: &Node) -> watch::Receiver<bool> {
        let mut asking = self.asking.lock();
        if let Some(asking) = &*asking {
            return asking.subscribe();
        }
        let (sender, receiver) = watch::channel(true);
        *asking = Some(sender);
        tokio::spawn(self.clone().ask(node.clone()));
        receiver
    }

    async fn ask(self, node: Node) {
        let limit = node.raft().pace().election_timeout() * ELECTIONS;
        loop {
            let there = node.raft().read_barrier(limit).await.is_ok();
            {
                let mut asking = self.asking.lock();
                match &*asking {
                    Some(sender) if sender.receiver_count() > 0 => {
                        sender.send_replace(there);
                    }
                    _ => {
                        *asking = None;
                        return;
                    }
                }
            }
            tokio::time::sleep(limit).await;
        }
    }
}

struct WithLeader<T, F> {
    answers: Answers<T>,
    /// `None` once the client was notified.
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
