//! The settings of openraft at each pace of the cluster.

use std::time::Duration;

use disco_planner::Pace;
use openraft::{Config, SnapshotPolicy};

/// Log entries between two snapshots, and how many are retained for nodes that lag slightly.
const SNAPSHOT_EVERY: u64 = 50_000;
const KEEP_LOGS: u64 = 500;
/// Entries in one replication message; bytes are bounded too, see the log store.
const PAYLOAD_ENTRIES: u64 = 64;
/// Requests that may queue for Raft before callers have to wait.
const CHANNEL: u64 = 512;

/// openraft's settings at a pace.
#[must_use]
pub fn config(pace: Pace) -> Config {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "disco".to_owned(),
        heartbeat_interval: millis(pace.heartbeat()),
        election_timeout_min: millis(pace.election_timeout()),
        election_timeout_max: millis(pace.lease()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_leader_is_noticed_in_time_and_a_stall_is_not_taken_for_its_death() {
        for pace in Pace::ALL {
            let config = config(pace);
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
