//! When each of the leader's controllers last ran, and with what outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The last pass of each controller in this term.
#[derive(Debug, Default)]
pub struct Passes {
    last: Mutex<BTreeMap<&'static str, Pass>>,
}

/// One pass of a controller.
#[derive(Clone, Debug)]
pub struct Pass {
    /// When it began.
    pub started: Instant,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// What the controller waits for before it can do more.
    pub waits_for: Option<String>,
}

// === impl Passes ===

impl Passes {
    /// Records the last pass of a controller.
    pub fn record(&self, controller: &'static str, pass: Pass) {
        self.last.lock().insert(controller, pass);
    }

    /// The last pass of each controller that had one.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, Pass> {
        self.last.lock().clone()
    }
}
