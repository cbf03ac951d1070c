//! Machines that come to nothing are tried again after ever longer pauses: whatever stands in the way seldom goes within seconds, and
//! each try costs the provider's patience, or money.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The pause after the first failure, and the longest.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// Of this leader. A new one begins with the first pause.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// By token: the last pause, and when it is over.
    failed: BTreeMap<String, (Duration, Instant)>,
    /// The revision of the target number of nodes; a new target is tried at once.
    wish: Option<i64>,
}

// === impl Attempts ===

impl Attempts {
    /// Notes that a machine has come to nothing.
    pub(super) fn failed(&mut self, token: &str, now: Instant) {
        let pause = self.failed.get(token).map_or(FIRST, |(last, _)| (*last * 2).min(LONGEST));
        self.failed.insert(token.to_owned(), (pause, now + pause));
    }

    /// Notes that it has come to something, or is given up.
    pub(super) fn forget(&mut self, token: &str) {
        self.failed.remove(token);
    }

    /// Whether it is time to try.
    pub(super) fn is_due(&self, token: &str, now: Instant) -> bool {
        self.failed.get(token).is_none_or(|(_, due)| now >= *due)
    }

    /// Who wishes a number, even the same once more, has mended something or wants to see: then nothing waits.
    pub(super) fn wished(&mut self, version: i64) {
        if self.wish.replace(version).is_some_and(|before| before != version) {
            self.failed.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute_and_a_wish_ends_them() {
        let (mut attempts, mut now) = (Attempts::default(), Instant::now());
        attempts.wished(7);
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
        attempts.wished(7);
        assert!(!attempts.is_due("a", now));
        attempts.wished(9);
        assert!(attempts.is_due("a", now));
        attempts.failed("a", now);
        attempts.forget("a");
        assert!(attempts.is_due("a", now));
    }
}
