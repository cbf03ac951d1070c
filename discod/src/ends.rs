//! Unexpected ends of nodes' daemons, as reported to the leader: by the daemon once it runs again, and by its supervisor while it does
//! not.

use disco_proto::v1::DaemonEnds;
use disco_provider::supervise::EndsTold;
use tokio::time::Instant;

/// Bounds of values from the wire.
const MOST_AGES: usize = 16;
const MOST_CHARACTERS: usize = 500;

/// The latest report about the ends of a node's daemon.
#[derive(Clone, Debug)]
pub struct Ended {
    ends: EndsTold,
    heard: Instant,
    /// Whether the daemon has reported since the last end.
    up: bool,
}

// === impl Ended ===

impl Ended {
    /// Takes a report of `now` from a running daemon (`up`) or from its supervisor; `before` is the previous report.
    #[must_use]
    pub fn hear(ends: DaemonEnds, up: bool, now: Instant, before: Option<&Self>) -> Self {
        let DaemonEnds { count, mut ago_ms, how, words } = ends;
        ago_ms.truncate(MOST_AGES);
        let plain = |sign: char| if sign.is_control() { ' ' } else { sign };
        let short = |text: String| text.chars().map(plain).take(MOST_CHARACTERS).collect();
        let ends = EndsTold { count, ago_ms, how: short(how), words: short(words) };
        // A late report, of an end before the current start.
        let known = before.is_some_and(|before| before.ends.count == ends.count && before.up);
        Self { ends, heard: now, up: known || up }
    }

    /// Notes that the daemon has reported without mentioning ends.
    pub fn reported(&mut self) {
        self.up = true;
    }

    /// Number of ends since the node was installed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ends.count
    }

    /// Whether the daemon is running again.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether it ends repeatedly.
    #[must_use]
    pub fn is_loop(&self, now: Instant) -> bool {
        self.ends.is_loop(self.later(now))
    }

    /// Whether none of its ends is recent.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.is_up() && self.ends.recent(self.later(now)).is_empty()
    }

    /// How the last end happened, and why.
    #[must_use]
    pub fn cause(&self) -> String {
        self.ends.cause()
    }

    /// How often, when and why it ended, as a sentence about the node.
    #[must_use]
    pub fn describe(&self, now: Instant) -> String {
        format!("its daemon {}", self.ends.describe(self.later(now)))
    }

    /// Why the node is unhealthy. A daemon that ended once is restarted immediately: until it is `silent` for long this
    /// is no trouble.
    #[must_use]
    pub fn trouble(&self, silent: bool, now: Instant) -> Option<String> {
        let down = if self.up {
            // The same rule as on the machine itself.
            self.ends.keeps_ending(self.later(now))
        } else {
            silent || self.is_loop(now)
        };
        down.then(|| self.describe(now))
    }

    fn later(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.heard).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ends(count: u64, ago_ms: &[u64]) -> DaemonEnds {
        let (how, words) = ("exit code 1".to_owned(), "cannot open `x`: read-only\nfile system".to_owned());
        DaemonEnds { count, ago_ms: ago_ms.to_vec(), how, words }
    }

    #[test]
    fn a_node_whose_daemon_ends_repeatedly_is_unhealthy_with_the_reason() {
        let now = Instant::now();
        let once = Ended::hear(ends(1, &[100]), false, now, None);
        assert_eq!(once.trouble(false, now), None);
        // Otherwise this would be "no sign of life", without a cause.
        let reason = once.trouble(true, now).expect("it is silent");
        assert_eq!(reason, "its daemon ended 1 s ago: exit code 1: cannot open `x`: read-only file system");

        let thrice = Ended::hear(ends(3, &[100, 300, 900]), false, now, Some(&once));
        assert!(thrice.trouble(false, now).expect("a loop").starts_with("its daemon ended 3 times in the last 1 s: "));
        // It reports briefly between two ends.
        let up = Ended::hear(ends(3, &[200, 400, 1000]), true, now, Some(&thrice));
        assert!(up.trouble(false, now).is_some());
        // The report of the end may arrive after that of the start.
        let late = Ended::hear(ends(3, &[300, 500, 1100]), false, now, Some(&up));
        assert!(late.is_up());
        let now = now + Duration::from_secs(10);
        assert_eq!(late.trouble(false, now), None);
        assert!(late.is_loop(now) && !late.is_over(now));
        let now = now + Duration::from_secs(120);
        assert!(late.is_over(now));
        let again = Ended::hear(ends(4, &[10]), false, now, Some(&late));
        assert!(!again.is_up());
    }

    #[test]
    fn reports_from_the_wire_are_bounded() {
        let much = DaemonEnds { ago_ms: vec![u64::MAX; 1000], words: "x".repeat(10_000), ..ends(u64::MAX, &[]) };
        let now = Instant::now();
        let ended = Ended::hear(much, false, now, None);
        assert!(ended.describe(now).len() < 600);
        assert!(!ended.is_loop(now));
    }
}
