//! The time of a singleton's lease: how long its shim lets it run without news from a leader, and after which time the leader
//! may start another one.

use std::time::Duration;

use crate::raft::Pace;

/// For the kill of all processes of a task.
const KILL: Duration = Duration::from_secs(2);

/// How long a singleton runs after its node has sent the last report that a leader with a majority accepted.
#[must_use]
pub fn lease(pace: Pace) -> Duration {
    match pace {
        Pace::Fast => Duration::from_secs(4),
        Pace::Default => Duration::from_secs(12),
        Pace::Slow => Duration::from_secs(36),
    }
}

/// The time since the last accepted report, or since its own election, after which a leader knows that no singleton of the node
/// runs: the lease, a tenth of it for clocks that run at different speeds, and the kill. A report that an earlier leader
/// accepted was sent before this one was elected, since a majority confirmed the earlier one afterwards.
#[must_use]
pub fn over_after(pace: Pace) -> Duration {
    lease(pace) + lease(pace) / 10 + KILL
}

/// A node that has not reported for this long is lost: its tasks are replaced.
#[must_use]
pub fn lost_after(pace: Pace) -> Duration {
    match pace {
        Pace::Fast => Duration::from_secs(5),
        Pace::Default => Duration::from_secs(20),
        Pace::Slow => Duration::from_secs(60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_machines_singletons_run_elsewhere_within_the_promised_time() {
        for (pace, seconds, election) in [(Pace::Fast, 10, 1), (Pace::Default, 30, 5)] {
            let after = over_after(pace).max(lost_after(pace)) + Duration::from_secs(election);
            assert!(after < Duration::from_secs(seconds), "{pace:?}: {after:?}");
        }
        for pace in [Pace::Fast, Pace::Default, Pace::Slow] {
            // A report that is late does not end a singleton, and a stall does not move tasks.
            assert!(lease(pace) > pace.suspect_after() && lost_after(pace) > pace.suspect_after());
        }
    }
}
