//! Assigns given machines one at a time, and avoids those that failed recently.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

/// How long a machine that could not be reached is the last choice.
const AVOIDED: Duration = Duration::from_secs(300);

/// The starts of this leader's term.
#[derive(Debug, Default)]
pub(super) struct Starts {
    turn: tokio::sync::Mutex<()>,
    failed: Mutex<BTreeMap<String, (Instant, String)>>,
}

// === impl Starts ===

impl Starts {
    /// Held from the request to the provider until the machine's id is recorded: two tasks must not take the same one.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Records why a machine could not be reached, or must not be changed. Returns whether the reason is new.
    pub(super) fn note_failure(&self, id: &str, why: &str, now: Instant) -> bool {
        let before = self.failed.lock().insert(id.to_owned(), (now, why.to_owned()));
        before.is_none_or(|(_, before)| before != why)
    }

    /// Machines that could not be used recently.
    pub(super) fn avoided(&self, now: Instant) -> BTreeSet<String> {
        let mut failed = self.failed.lock();
        failed.retain(|_, (at, _)| now.saturating_duration_since(*at) < AVOIDED);
        failed.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_machine_is_avoided_for_five_minutes() {
        let (starts, now) = (Starts::default(), Instant::now());
        assert!(starts.note_failure("a:22", "no answer", now));
        assert!(!starts.note_failure("a:22", "no answer", now));
        assert!(starts.note_failure("a:22", "another cluster's", now));
        assert_eq!(starts.avoided(now + AVOIDED / 2), BTreeSet::from(["a:22".to_owned()]));
        assert_eq!(starts.avoided(now + AVOIDED), BTreeSet::new());
    }
}
