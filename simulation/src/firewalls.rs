//! Firewalls that are switched on, or lose their state: one-way cuts of every kind, in addition to all other faults and with their own randomness.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::cluster::Cluster;
use crate::doors::Door;
use crate::events::Event;

/// Most time between two of them, in milliseconds.
const GAP_MS: u64 = 10_000;
/// The longest duration: an unreachable leader has handed over by then.
const LAST_MS: u64 = 12_000;

/// The closed doors, and when they are opened or closed.
pub struct Firewalls {
    rng: SmallRng,
    next: Duration,
    closed: Vec<(Duration, Door)>,
}

// === impl Firewalls ===

impl Firewalls {
    /// From the given time on.
    pub fn new(rng: SmallRng, from: Duration) -> Self {
        Self { rng, next: from, closed: Vec::new() }
    }

    /// Opens what is due, and when it is time, closes something.
    pub fn step(&mut self, cluster: &Cluster, now: Duration) {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.closed).into_iter().partition(|(at, _)| *at <= now);
        self.closed = later;
        due.iter().for_each(|(_, door)| cluster.doors.open(door));
        if now < self.next {
            return;
        }
        self.next = now + Duration::from_millis(self.rng.random_range(0..=GAP_MS));
        let host = match cluster.leader() {
            Some(leader) if self.rng.random_bool(0.5) => leader,
            _ => self.rng.random_range(0..cluster.hosts.len()),
        };
        let (new, established) = [(true, true), (true, false), (false, true)][self.rng.random_range(0..3)];
        let outgoing = self.rng.random_bool(0.3);
        let door = Door { host: cluster.hosts[host].name.clone(), outgoing, new, established };
        cluster.observer.tell(Event::Fault(format!("closed: {door:?}")));
        cluster.doors.close(door.clone());
        self.closed.push((now + Duration::from_millis(self.rng.random_range(200..=LAST_MS)), door));
    }

    /// Opens all.
    pub fn heal(&mut self, cluster: &Cluster) {
        self.closed.drain(..).for_each(|(_, door)| cluster.doors.open(&door));
    }
}
