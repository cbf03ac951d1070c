use std::sync::Mutex;
use std::time::{Duration, Instant};

/// An operation of a client on a key.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Which key.
    pub(super) key: String,
    /// The operation and its outcome.
    pub(super) op: Op,
    /// The time of its first attempt, since the run began.
    pub(super) called: Duration,
    /// When the outcome was known; `None` if it never was.
    pub(super) returned: Option<Duration>,
    /// The store's revision in the answer: of the write, or at the read.
    pub(super) revision: Option<i64>,
}

/// An operation. Every value is written once only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A read of this value.
    Get { found: Option<u64> },
    /// A write of this value.
    Put { value: u64 },
    /// The expected value, the new one, and whether the swap succeeded; `None` if unknown.
    Swap { from: Option<u64>, to: u64, done: Option<bool> },
}

/// The operations of all clients.
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

    /// The number of operations with a known outcome, and the time of the last one.
    pub(super) fn progress(&self) -> (usize, Duration) {
        let events = self.events.lock().unwrap();
        (events.len(), events.iter().rev().take(50).filter_map(|event| event.returned).max().unwrap_or_default())
    }

    /// All of them.
    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}
