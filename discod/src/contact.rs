//! Whether the leader and a member reach each other, in both directions: a failure of either keeps a cluster from
//! deciding.
//!
//! Reports arrive on the member's connections; entries and votes leave on the leader's own. A port that is closed to
//! new connections stops one direction and not the other.

use std::time::Duration;

/// What the leader knows about both directions between itself and a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Time since its last report.
    pub reported: Option<Duration>,
    /// Time since it last answered the leader.
    pub answered: Option<Duration>,
}

// === impl Contact ===

impl Contact {
    /// Time since the last sign of life in either direction.
    #[must_use]
    pub fn seen(&self) -> Option<Duration> {
        self.reported.into_iter().chain(self.answered).min()
    }

    /// What is wrong, once a direction was silent for longer than `limit`. `listening` is how long this node has led,
    /// `address` where it calls the member.
    #[must_use]
    pub fn trouble(&self, limit: Duration, listening: Duration, address: &str) -> Option<String> {
        let age = |way: Option<Duration>| way.unwrap_or(listening);
        let late = |way: Option<Duration>| age(way) > limit;
        // A node that dies falls silent in both directions, in one of them slightly earlier; one that returns is heard
        // in both, in one of them slightly later. So only that direction is blamed, and only while the other is active.
        let lives = |way: Option<Duration>| way.is_some_and(|way| way <= limit / 2);
        match (self.seen(), late(self.reported), late(self.answered)) {
            (None, ..) => Some("no sign of life yet".to_owned()),
            (_, false, false) => None,
            (_, false, true) if lives(self.reported) => Some(format!(
                "it reports, but has not answered the leader for {:.1} s: is {address} open to the other nodes?",
                age(self.answered).as_secs_f64()
            )),
            (_, true, false) if lives(self.answered) => Some(format!(
                "it answers the leader, but its last report is {:.1} s old: can it open connections to the leader?",
                age(self.reported).as_secs_f64()
            )),
            (Some(seen), ..) => Some(format!("no sign of life for {:.1} s", seen.as_secs_f64())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);
    const NOW: Option<Duration> = Some(Duration::from_millis(200));
    const LONG_AGO: Option<Duration> = Some(Duration::from_secs(9));

    fn trouble(reported: Option<Duration>, answered: Option<Duration>, listening: u64) -> Option<String> {
        Contact { reported, answered }.trouble(LIMIT, Duration::from_secs(listening), "10.0.0.3:5080")
    }

    #[test]
    fn both_ways_must_be_open() {
        assert_eq!(trouble(NOW, NOW, 100), None);
        for answered in [None, LONG_AGO] {
            let closed = trouble(NOW, answered, 100).expect("the leader cannot call it");
            assert!(closed.contains("10.0.0.3:5080") && closed.starts_with("it reports, but"), "{closed}");
        }
        for reported in [None, LONG_AGO] {
            let mute = trouble(reported, NOW, 100).expect("it cannot call the leader");
            assert!(mute.starts_with("it answers the leader, but"), "{mute}");
        }
        assert_eq!(trouble(LONG_AGO, LONG_AGO, 100).as_deref(), Some("no sign of life for 9.0 s"));
        assert_eq!(trouble(None, None, 100).as_deref(), Some("no sign of life yet"));
    }

    #[test]
    fn a_dying_node_is_not_blamed_for_one_direction() {
        let (almost, just) = (Some(Duration::from_millis(3_900)), Some(Duration::from_millis(4_100)));
        assert_eq!(trouble(just, almost, 100).as_deref(), Some("no sign of life for 3.9 s"));
        assert_eq!(trouble(almost, just, 100).as_deref(), Some("no sign of life for 3.9 s"));
        assert_eq!(trouble(just, just, 100).as_deref(), Some("no sign of life for 4.1 s"));
    }

    /// While a node starts it may answer once and then be busy: that must not count as a recovery that is revoked a
    /// second later.
    #[test]
    fn a_returning_node_is_healthy_once_both_directions_work() {
        let some_time_ago = Some(Duration::from_millis(2_500));
        for (reported, answered) in [(LONG_AGO, NOW), (LONG_AGO, some_time_ago), (some_time_ago, LONG_AGO)] {
            assert!(trouble(reported, answered, 100).is_some(), "{reported:?} {answered:?}");
        }
        assert_eq!(trouble(some_time_ago, NOW, 100), None);
    }

    #[test]
    fn a_new_leader_waits_for_the_second_direction() {
        assert_eq!(trouble(NOW, None, 1), None);
        assert_eq!(trouble(None, NOW, 1), None);
        assert!(trouble(None, None, 1).is_some());
    }
}
