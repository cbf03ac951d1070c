//! Given machines are handed out one at a time, and one that does not answer is not the next one again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

/// A machine that could not be reached is the last choice for so long.
const AVOIDED: Duration = Duration::from_secs(300);

/// Of this leader.
#[derive(Debug, Default)]
pub(super) struct Starts {
    turn: tokio::sync::Mutex<()>,
    failed: Mutex<BTreeMap<String, (Instant, String)>>,
}

// === impl Starts ===

impl Starts {
    /// Held from asking the provider for a machine until its id is recorded: two tasks must not take the same one.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Notes a machine that could not be reached, or must not be touched, and why. Whether that is news.
    pub(super) fn note_failure(&self, id: &str, why: &str, now: Instant) -> bool {
        let before = self.failed.lock().insert(id.to_owned(), (now, why.to_owned()));
        before.is_none_or(|(_, before)| before != why)
    }

    /// Machines that could not be reached a while ago.
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
    fn a_machine_gets_another_chance() {
        let (starts, now) = (Starts::default(), Instant::now());
        assert!(starts.note_failure("a:22", "no answer", now));
        assert!(!starts.note_failure("a:22", "no answer", now));
        assert!(starts.note_failure("a:22", "another cluster's", now));
        assert_eq!(starts.avoided(now + AVOIDED / 2), BTreeSet::from(["a:22".to_owned()]));
        assert_eq!(starts.avoided(now + AVOIDED), BTreeSet::new());
    }
}
