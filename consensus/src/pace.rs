//! How fast the cluster notices that its leader is gone.
//!
//! Burstable cloud instances stall for hundreds of milliseconds when their credits are used up, so the default is slow
//! enough not to mistake a stall for a death (Consul arrived at 5 s after measuring t2.micro). One name sets all
//! intervals.

use std::time::Duration;

use clap::ValueEnum;
use openraft::{Config, SnapshotPolicy};

/// A multiplier for all timeouts between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Pace {
    /// For nodes on one machine or one quiet network.
    Fast,
    /// For small cloud machines.
    #[default]
    Default,
    /// For overloaded machines and links across continents.
    Slow,
}

/// Log entries between two snapshots, and how many are retained for nodes that lag slightly.
const SNAPSHOT_EVERY: u64 = 50_000;
const KEEP_LOGS: u64 = 500;
/// Entries in one replication message; bytes are bounded too, see the log store.
const PAYLOAD_ENTRIES: u64 = 64;
/// Requests that may queue for Raft before callers have to wait.
const CHANNEL: u64 = 512;

// === impl Pace ===

impl Pace {
    /// Interval of the leader's heartbeats. The leader's openraft checks its clocks five times as often, idle or
    /// not, so this determines the cost of an idle leader.
    #[must_use]
    pub fn heartbeat(self) -> Duration {
        Duration::from_millis(match self {
            Self::Fast => 200,
            Self::Default => 500,
            Self::Slow => 1500,
        })
    }

    /// A follower that received nothing for a random time between this and twice as much, beyond the leader's lease of
    /// twice as much, stands for election: the next write is accepted within slightly more than five times this. At
    /// least three heartbeats are lost before that.
    #[must_use]
    pub fn election_timeout(self) -> Duration {
        Duration::from_millis(match self {
            Self::Fast => 250,
            Self::Default => 1200,
            Self::Slow => 4500,
        })
    }

    /// How long after a leader's last message openraft lets no other node stand for election.
    #[must_use]
    pub fn lease(self) -> Duration {
        self.election_timeout() * 2
    }

    /// Interval of a node's reports to the leader.
    #[must_use]
    pub fn report(self) -> Duration {
        Duration::from_millis(match self {
            Self::Fast => 500,
            Self::Default => 1000,
            Self::Slow => 3000,
        })
    }

    /// A node without a sign of life for this long is shown as unhealthy.
    #[must_use]
    pub fn suspect_after(self) -> Duration {
        self.report() * 4
    }

    /// A leader that has missed three reports of too many voters checks whether they can reach it.
    #[must_use]
    pub fn unheard_after(self) -> Duration {
        self.report() * 3
    }

    /// Time limit of one node for opening a connection to another, to check whether it can.
    #[must_use]
    pub fn reach_within(self) -> Duration {
        self.report() * 2
    }

    /// A voter without a sign of life for this long is replaced by a learner, if one exists.
    #[must_use]
    pub fn dead_after(self) -> Duration {
        self.report() * 20
    }

    /// How long a request to Raft may take before its outcome counts as unknown.
    #[must_use]
    pub fn request_timeout(self) -> Duration {
        self.election_timeout() * 4 + Duration::from_secs(2)
    }

    /// openraft's settings at this pace.
    #[must_use]
    pub fn config(self) -> Config {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Config {
            cluster_name: "disco".to_owned(),
            heartbeat_interval: millis(self.heartbeat()),
            election_timeout_min: millis(self.election_timeout()),
            election_timeout_max: millis(self.lease()),
            // Limit of one step of a snapshot, not of the whole.
            install_snapshot_timeout: 10_000,
            max_payload_entries: PAYLOAD_ENTRIES,
            max_append_entries: Some(256),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
            replication_lag_threshold: SNAPSHOT_EVERY + KEEP_LOGS,
            max_in_snapshot_log_to_keep: KEEP_LOGS,
            purge_batch_size: 64,
            api_channel_size: Some(CHANNEL),
            api_batch_capacity: 256,
            notification_channel_size: Some(CHANNEL),
            state_machine_channel_size: Some(256),
            log_stage_capacity: Some(16),
            enable_pre_vote: Some(true),
            // Entries go to followers while the leader still writes them. A leader that is killed in between and
            // continues without an election would reuse their indexes for other entries, and followers could not
            // distinguish them.
            enable_leader_restore: Some(false),
            backoff: "100ms 200ms 400ms ...2s".to_owned(),
            ..Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_leader_is_noticed_in_time_and_a_stall_is_not_taken_for_its_death() {
        for pace in [Pace::Fast, Pace::Default, Pace::Slow] {
            let config = pace.config();
            // openraft waits for the lease and an additional random time.
            let earliest = config.election_timeout_max + config.election_timeout_min;
            assert!(earliest >= 3 * config.heartbeat_interval, "{pace:?}");
            // The shorter of two draws, that of the quicker follower, is a third of the way from the shortest to the
            // longest.
            let mean = earliest + (config.election_timeout_max - config.election_timeout_min) / 3;
            let limit = match pace {
                Pace::Fast => 1_000,
                Pace::Default => 5_000,
                Pace::Slow => 20_000,
            };
            // Between two checks of the clock, for votes and for the first write.
            let rest = config.heartbeat_interval / 2;
            assert!(mean + rest < limit, "{pace:?}: {mean} and {rest} ms");
        }
    }
}
