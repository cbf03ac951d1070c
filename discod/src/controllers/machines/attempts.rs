//! Failed machines are tried again after growing pauses: few causes disappear within seconds, and each attempt costs requests to the
//! provider, or money.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// The failures of this leader's term. A new leader begins with the first pause.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// By token: the last pause, and when it is over.
    failed: BTreeMap<String, (Duration, Instant)>,
    /// The revision of the target size; a new target is tried at once.
    target: Option<i64>,
}

// === impl Attempts ===

impl Attempts {
    /// Records a failure of a machine.
    pub(super) fn failed(&mut self, token: &str, now: Instant) {
        let pause = self.failed.get(token).map_or(FIRST, |(last, _)| (*last * 2).min(LONGEST));
        self.failed.insert(token.to_owned(), (pause, now + pause));
    }

    /// Forgets the failures of a machine that has succeeded or was given up.
    pub(super) fn forget(&mut self, token: &str) {
        self.failed.remove(token);
    }

    /// Whether the machine's pause is over.
    pub(super) fn is_due(&self, token: &str, now: Instant) -> bool {
        self.failed.get(token).is_none_or(|(_, due)| now >= *due)
    }

    /// Ends all pauses if the target size was written again, even with the same number: the operator may have removed the cause.
    pub(super) fn retry_for_target(&mut self, revision: i64) {
        if self.target.replace(revision).is_some_and(|before| before != revision) {
            self.failed.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute_and_a_new_target_ends_them() {
        let (mut attempts, mut now) = (Attempts::default(), Instant::now());
        attempts.retry_for_target(7);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(attempts.is_due("a", now));
            attempts.failed("a", now);
            let pause = (1..).find(|seconds| attempts.is_due("a", now + Duration::from_secs(*seconds))).unwrap();
            pauses.push(pause);
            now += Duration::from_secs(pause);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        attempts.failed("a", now);
        assert!(!attempts.is_due("a", now) && attempts.is_due("b", now));
        attempts.retry_for_target(7);
        assert!(!attempts.is_due("a", now));
        attempts.retry_for_target(9);
        assert!(attempts.is_due("a", now));
        attempts.failed("a", now);
        attempts.forget("a");
        assert!(attempts.is_due("a", now));
    }
}
