use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One thing that a client did with one key.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Which key.
    pub(super) key: String,
    /// What it asked for, and what came of it.
    pub(super) op: Op,
    /// When it asked first, since the run began.
    pub(super) called: Duration,
    /// When it knew; `None` for what was never known.
    pub(super) returned: Option<Duration>,
    /// The store's revision in the answer: of the write, or at the read.
    pub(super) revision: Option<i64>,
}

/// An operation. Every value is written once only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// What was found.
    Get { found: Option<u64> },
    /// What was written.
    Put { value: u64 },
    /// What should be there, what then was written, and whether it was; `None` where that is not known.
    Swap { from: Option<u64>, to: u64, done: Option<bool> },
}

/// All that the clients did.
pub(super) struct History {
    start: Instant,
    events: Mutex<Vec<Event>>,
}

impl History {
    /// From now on.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), events: Mutex::default() }
    }

    /// Since the run began.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Keeps an event.
    pub(super) fn record(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    /// How many are known to have been done, when the last of these was.
    pub(super) fn progress(&self) -> (usize, Duration) {
        let events = self.events.lock().unwrap();
        (events.len(), events.iter().rev().take(50).filter_map(|event| event.returned).max().unwrap_or_default())
    }

    /// All of them.
    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}
