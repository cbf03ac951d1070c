//! A node's state as the leader of one term: made when it is elected, dropped at the end of the term. Followers have none.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use disco_proto::v1::command::Operation;
use disco_proto::v1::{CommandResponse, Progress};
use tokio::sync::{Mutex, MutexGuard, broadcast};
use tokio::time::Instant;

use super::Node;
use super::idle_blobs::IdleBlobs;
use super::lease_times::LeaseTimes;
use super::passes::Passes;
use super::reports::Reports;
use super::writes::WriteError;

/// Steps of the controllers by which a listener may lag before it misses some.
const PROGRESS: usize = 128;

/// This node as the leader of one term. Cheap to clone. A clone that outlives the term can read, and its writes are refused.
#[derive(Clone)]
pub struct Leader {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    term: u64,
    reports: Reports,
    lease_times: LeaseTimes,
    passes: Passes,
    progress: broadcast::Sender<Progress>,
    removals: Mutex<()>,
    rights: Mutex<()>,
    commits: Mutex<()>,
    idle_blobs: parking_lot::Mutex<IdleBlobs>,
    keys_requested: parking_lot::Mutex<Option<Instant>>,
    blocked: parking_lot::Mutex<Option<String>>,
}

/// Ends a leader's term when dropped.
pub struct Term {
    leader: Leader,
}

// === impl Leader ===

impl Leader {
    fn new(node: Node, term: u64) -> Self {
        let inner = Inner {
            node,
            term,
            reports: Reports::default(),
            lease_times: LeaseTimes::default(),
            passes: Passes::default(),
            progress: broadcast::Sender::new(PROGRESS),
            removals: Mutex::default(),
            rights: Mutex::default(),
            commits: Mutex::default(),
            idle_blobs: parking_lot::Mutex::default(),
            keys_requested: parking_lot::Mutex::default(),
            blocked: parking_lot::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.inner.term
    }

    /// Proposes an operation, as long as this node leads in this term: what a deposed leader proposes changes nothing.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write_in_term(&self, operation: Operation) -> Result<CommandResponse, WriteError> {
        self.inner.node.write_in(self.inner.term, operation).await
    }

    /// Whether the term has ended. A node that was elected again leads in another one.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.raft().leads() != Some(self.inner.term)
    }

    /// Returns when the term has ended.
    pub async fn ended(&self) {
        let (mut leadership, term) = (self.raft().leadership(), self.inner.term);
        // A sender that is gone means that Raft has ended here, which is the same.
        let _ = leadership.wait_for(|now| !now.is_self || now.term != term).await;
    }

    /// The last report of each node.
    #[must_use]
    pub fn reports(&self) -> &Reports {
        &self.inner.reports
    }

    /// The time of leases.
    #[must_use]
    pub fn lease_times(&self) -> &LeaseTimes {
        &self.inner.lease_times
    }

    /// The last pass of each controller.
    #[must_use]
    pub fn passes(&self) -> &Passes {
        &self.inner.passes
    }

    /// Held while a node is removed: one at a time, and none twice.
    pub async fn removals(&self) -> MutexGuard<'_, ()> {
        self.inner.removals.lock().await
    }

    /// Held while machines' permissions at the provider are changed.
    pub async fn rights(&self) -> MutexGuard<'_, ()> {
        self.inner.rights.lock().await
    }

    /// Held from the check that blobs exist to the write of a record that refers to them, and while unneeded ones are
    /// removed. Only the leader does either, so this lock is enough.
    pub async fn commits(&self) -> MutexGuard<'_, ()> {
        self.inner.commits.lock().await
    }

    /// Whether the other voters may be asked for keys of secrets again: once in this time.
    pub fn may_request_keys(&self, every: Duration) -> bool {
        let mut last = self.inner.keys_requested.lock();
        let may = last.is_none_or(|at| at.elapsed() >= every);
        if may {
            *last = Some(Instant::now());
        }
        may
    }

    /// The times since which blobs are unused.
    pub fn idle_blobs<T>(&self, look: impl FnOnce(&mut IdleBlobs) -> T) -> T {
        look(&mut self.inner.idle_blobs.lock())
    }

    /// Why the cluster is below its target size.
    #[must_use]
    pub fn blocked(&self) -> Option<String> {
        self.inner.blocked.lock().clone()
    }

    /// Sets the result of [`Self::blocked`].
    pub fn set_blocked(&self, reason: Option<String>) {
        *self.inner.blocked.lock() = reason;
    }

    /// Logs a step of the controllers, and sends it to all listeners.
    pub fn progress(&self, progress: Progress) {
        let Progress { subject, state, detail, error, .. } = &progress;
        let detail = if detail.is_empty() { String::new() } else { format!(", {detail}") };
        if error.is_empty() {
            tracing::info!("{subject}: {state}{detail}");
        } else {
            tracing::warn!(error, "{subject}: {state}{detail}");
        }
        // There may be no listener.
        let _ = self.inner.progress.send(progress);
    }

    /// Listens to the steps of the controllers.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Progress> {
        self.inner.progress.subscribe()
    }
}

impl Deref for Leader {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.inner.node
    }
}

// === impl Node ===

impl Node {
    /// Makes the leader of a term for which this node was elected. It exists until the returned [`Term`] is dropped.
    #[must_use]
    pub fn begin_term(&self, term: u64) -> Term {
        let leader = Leader::new(self.clone(), term);
        self.inner.leader.send_replace(Some(leader.clone()));
        Term { leader }
    }

    /// The leader, if it is this node.
    #[must_use]
    pub fn leader(&self) -> Option<Leader> {
        self.inner.leader.borrow().clone()
    }

    /// The leader of a term for which this node was just elected. `None`: it no longer leads, or its term does not begin in time.
    pub async fn leading(&self, term: u64, limit: Duration) -> Option<Leader> {
        let mut leader = self.inner.leader.subscribe();
        let begun = leader.wait_for(|leader| leader.as_ref().is_some_and(|leader| leader.term() == term));
        let mut leadership = self.raft().leadership();
        let ended = leadership.wait_for(|now| !now.is_self || now.term != term);
        tokio::select! {
            biased;
            leader = tokio::time::timeout(limit, begun) => leader.ok()?.ok()?.clone(),
            _ = ended => None,
        }
    }
}

// === impl Term ===

impl Term {
    /// The leader.
    #[must_use]
    pub fn leader(&self) -> &Leader {
        &self.leader
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.leader.inner.node.inner.leader.send_replace(None);
    }
}
