//! How far a command has got, for the message about its interruption.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Mutex, MutexGuard};

/// How far a command has got. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// A question waits for its answer.
    asks: AtomicBool,
    /// The command has changed, or tried to change, a machine or the cluster.
    begun: AtomicBool,
    /// Held while a question is open.
    turn: Mutex<()>,
}

impl Progress {
    /// Waits until no other question is open: a script may ask several at once.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().await
    }

    /// Notes whether a question waits for its answer.
    pub(crate) fn asks(&self, asks: bool) {
        self.0.asks.store(asks, Ordering::Relaxed);
    }

    /// Notes that the command changes a machine or the cluster from now on.
    pub(crate) fn begin(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    /// Whether the command waits for the answer to a question before it changes anything.
    pub(crate) fn waits_with_nothing_begun(&self) -> bool {
        self.0.asks.load(Ordering::Relaxed) && !self.0.begun.load(Ordering::Relaxed)
    }
}
