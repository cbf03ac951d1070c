//! Linearizable reads on every node, by read index.
//!
//! A read must see every write acknowledged before it was requested. So the leader notes how far the log is committed,
//! confirms with a quorum that it still leads, and returns that index; the requesting node waits until it has applied
//! that much, and answers from its own store. Only the index crosses the network, whatever the read is. No clock is
//! trusted: with a leader's lease, a stepped or paused clock could make two nodes answer at once.
//!
//! Reads that arrive during a round wait, and share the next one: one request to the leader, and one round of
//! heartbeats, serves them all.

use disco_planner::Pace;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::async_runtime::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{LinearizableReadError, RaftError as OpenraftError};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::node::{Leadership, OpenRaft, RaftNode};
use super::platform::{Platform, Transport};

/// Reads that may wait for the next round; further ones wait for a place.
const WAITING: usize = 1024;
/// Pause before a read is retried while there is no leader.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Why a read cannot be answered linearizably now.
#[derive(Clone, Debug, Error)]
pub enum ReadIndexError {
    /// An election is in progress, or this node is cut off.
    #[error("no leader is known")]
    NoLeader,
    /// The leader has no quorum, or could not be reached.
    #[error("the read was not confirmed: {0}")]
    Unconfirmed(String),
    /// Raft has ended on this node: its disk failed, or it shuts down.
    #[error("Raft has stopped on this node: {0}")]
    Stopped(String),
}

type Answer = Result<u64, ReadIndexError>;

/// The two ways to a read index. They never mix: a request from another node is answered as the leader or not at all,
/// so two nodes that take each other for the leader do not wait for each other.
pub struct ReadIndex {
    here: Rounds,
    there: Rounds,
}

/// All waiting reads share one round, which starts after the last of them arrived.
struct Rounds(mpsc::Sender<oneshot::Sender<Answer>>);

/// Sends the requests of this node.
struct Requester<P: Platform> {
    raft: OpenRaft<P>,
    id: u64,
    limit: Duration,
    leadership: watch::Receiver<Leadership>,
    transport: P::Transport,
}

// === impl ReadIndex ===

impl ReadIndex {
    pub(super) fn start<P: Platform>(
        raft: &OpenRaft<P>,
        id: u64,
        pace: Pace,
        leadership: watch::Receiver<Leadership>,
        transport: P::Transport,
    ) -> Self {
        let limit = pace.request_timeout();
        let requester = Arc::new(Requester::<P> { raft: raft.clone(), id, limit, leadership, transport });
        let other = requester.clone();
        Self {
            here: Rounds::start::<P, _, _>(move || {
                let requester = requester.clone();
                async move { requester.confirm().await }
            }),
            there: Rounds::start::<P, _, _>(move || {
                let requester = other.clone();
                async move { requester.request_from_leader().await }
            }),
        }
    }

    /// The index, if this node leads.
    ///
    /// # Errors
    /// This node does not lead, or no quorum confirmed it.
    pub async fn as_leader(&self) -> Answer {
        self.here.ask().await
    }
}

// === impl Rounds ===

impl Rounds {
    fn start<P, F, Fut>(question: F) -> Self
    where
        P: Platform,
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = Answer> + Send,
    {
        let (sender, mut waiting) = mpsc::channel(WAITING);
        drop(P::Runtime::spawn(async move {
            let mut together: Vec<oneshot::Sender<Answer>> = Vec::new();
            while waiting.recv_many(&mut together, WAITING).await > 0 {
                let answer = question().await;
                for one in together.drain(..) {
                    // A caller that has gone needs no answer.
                    let _ = one.send(answer.clone());
                }
                // The memory of a burst must not be retained forever.
                together.shrink_to(64);
            }
        }));
        Self(sender)
    }

    async fn ask(&self) -> Answer {
        let stopped = || ReadIndexError::Stopped("it shuts down".to_owned());
        let (sender, answer) = oneshot::channel();
        self.0.send(sender).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

// === impl Requester ===

impl<P: Platform> Requester<P> {
    /// As the leader: how far the log was committed, once a quorum has confirmed that this node still leads.
    async fn confirm(&self) -> Answer {
        match timeout(self.limit, self.raft.get_read_linearizer(ReadPolicy::ReadIndex)).await {
            Ok(Ok(linearizer)) => Ok(linearizer.read_log_id().index()),
            Ok(Err(OpenraftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => {
                Err(ReadIndexError::NoLeader)
            }
            Ok(Err(OpenraftError::APIError(LinearizableReadError::QuorumNotEnough(error)))) => {
                Err(ReadIndexError::Unconfirmed(error.to_string()))
            }
            Ok(Err(OpenraftError::Fatal(fatal))) => Err(ReadIndexError::Stopped(fatal.to_string())),
            Err(_) => Err(ReadIndexError::Unconfirmed(format!("no quorum answered within {:?}", self.limit))),
        }
    }

    /// As a follower: the same from the current leader, as long as it leads.
    async fn request_from_leader(&self) -> Answer {
        let Some(leader) = self.leadership.borrow().leader.filter(|leader| *leader != self.id) else {
            return Err(ReadIndexError::NoLeader);
        };
        let address = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.membership().get_node(&leader).map(|info| info.address.clone())
        };
        let Some(address) = address else { return Err(ReadIndexError::NoLeader) };
        let mut leadership = self.leadership.clone();
        let answer = tokio::select! {
            biased;
            answer = timeout(self.limit, self.transport.read_index(leader, &address)) => answer,
            // Stop waiting for a node that is no longer the leader.
            _ = leadership.wait_for(|now| now.leader != Some(leader)) => return Err(ReadIndexError::NoLeader),
        };
        match answer {
            Ok(Ok(index)) => Ok(index),
            Ok(Err(error)) => Err(ReadIndexError::Unconfirmed(format!("node {leader}: {error}"))),
            Err(_) => Err(ReadIndexError::Unconfirmed(format!("node {leader} did not answer within {:?}", self.limit))),
        }
    }
}

// === impl RaftNode ===

impl<P: Platform> RaftNode<P> {
    /// Returns once a read of [`RaftNode::store`] on this node, whether it leads or not, reflects every write
    /// acknowledged anywhere before the call. Waits for an election in progress, within the limit.
    ///
    /// # Errors
    /// The error of the last attempt, if none succeeded in time.
    pub async fn read_barrier(&self, limit: Duration) -> Result<(), ReadIndexError> {
        let deadline = Instant::now() + limit;
        loop {
            let rounds = if self.leads().is_some() { &self.read_index().here } else { &self.read_index().there };
            let last = match timeout_at(deadline, rounds.ask()).await {
                Ok(Ok(index)) => return self.wait_applied(index, deadline).await,
                Ok(Err(error @ ReadIndexError::Stopped(_))) => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => return Err(ReadIndexError::Unconfirmed(format!("no answer within {limit:?}"))),
            };
            if Instant::now() + RETRY_PAUSE >= deadline {
                return Err(last);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Index of the last entry that this node has applied.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.raft().metrics().borrow_watched().last_applied.as_ref().map_or(0, |log_id| log_id.index)
    }

    async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), ReadIndexError> {
        if self.applied_index() >= index {
            return Ok(());
        }
        let mut metrics = self.raft().metrics();
        let wait = async {
            while self.applied_index() < index {
                if metrics.changed().await.is_err() {
                    return Err(ReadIndexError::Stopped("it has ended".to_owned()));
                }
            }
            Ok(())
        };
        timeout_at(deadline, wait)
            .await
            .unwrap_or_else(|_| Err(ReadIndexError::Unconfirmed(format!("entry {index} is not applied here yet"))))
    }
}
