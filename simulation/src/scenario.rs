//! The parameters of a run, derived from its seed.

use std::ops::RangeInclusive;
use std::time::Duration;

use disco_consensus::Pace;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::bug::Bug;

/// The shape of a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Machines.
    pub hosts: usize,
    /// Clients, each of which does one operation at a time.
    pub clients: usize,
    /// Keys that they share. Few, so that operations conflict.
    pub keys: u8,
    /// Intervals.
    pub pace: Pace,
    /// Time of a message on a good link, in milliseconds.
    pub latency: RangeInclusive<u64>,
    /// Log entries between two snapshots, and how many are kept. Mostly far fewer than the daemon's, so that snapshots,
    /// purges and nodes that need a snapshot happen at all within a minute.
    pub snapshot_every: u64,
    /// See above.
    pub keep_logs: u64,
    /// How long there are faults.
    pub faults_for: Duration,
    /// Mean time between two faults.
    pub fault_gap: Duration,
    /// Occasionally all nodes request votes at the same moment. Not drawn from the seed, so that a seed without it is the same run
    /// as before.
    pub rivals: bool,
    /// Pause of a client between two operations, at most.
    pub think: Duration,
    /// Resolution of simulated time.
    pub tick: Duration,
}

// === impl Scenario ===

impl Scenario {
    /// The scenario of a seed, with a number of machines in the range.
    pub fn of(seed: u64, nodes: &RangeInclusive<usize>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x5ce4_a210);
        let (least, most) = (*nodes.start(), *nodes.end());
        // Small clusters have the tightest majorities; large ones are slow to simulate.
        let upto = match rng.random_range(0..20) {
            0..14 => 7,
            14..19 => 15,
            _ => most,
        };
        let hosts = rng.random_range(least..=most.min(upto).max(least));
        let pace = if rng.random_bool(0.8) { Pace::Fast } else { Pace::Default };
        let slowest = rng.random_range(2..=30);
        let small = hosts <= 15;
        Self {
            hosts,
            clients: rng.random_range(2..=5),
            keys: rng.random_range(2..=5),
            pace,
            latency: 1..=slowest,
            snapshot_every: if rng.random_bool(0.9) { rng.random_range(20..=150) } else { 1000 },
            keep_logs: rng.random_range(5..=60),
            faults_for: Duration::from_secs(rng.random_range(if small { 20..=45 } else { 10..=15 })),
            fault_gap: Duration::from_millis(rng.random_range(300..=4000)),
            rivals: false,
            think: Duration::from_millis(rng.random_range(20..=300)),
            tick: Duration::from_millis(if small { 5 } else { 10 }),
        }
    }

    /// openraft's settings: the daemon's, but for snapshots.
    pub fn config(&self, bug: Option<Bug>) -> openraft::Config {
        let daemons = disco_consensus::openraft_config(self.pace);
        openraft::Config {
            enable_leader_restore: if bug == Some(Bug::LeaderRestore) {
                Some(true)
            } else {
                daemons.enable_leader_restore
            },
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            replication_lag_threshold: self.snapshot_every + self.keep_logs,
            max_in_snapshot_log_to_keep: self.keep_logs,
            ..daemons
        }
    }

    /// After the faults the cluster must come to rest within this time: dead voters are replaced, all nodes have caught up.
    pub fn rest_within(&self) -> Duration {
        self.pace.dead_after() * 6 + self.pace.election_timeout() * 40
    }
}
