//! The time of leases, counted by a leader for its term: every lease that it finds starts with its whole time. The
//! controller of leases revokes expired ones; requests read a lease's time, or renew it. [`disco_store::LeaseClock`]
//! decides.

use disco_store::{Lease, LeaseClock, Store};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The clock of leases.
pub struct LeaseTimes {
    started: Instant,
    clock: Mutex<LeaseClock>,
}

// === impl LeaseTimes ===

impl LeaseTimes {
    /// Reads new leases from the store, and returns at most this many expired ones.
    pub fn due(&self, store: &Store, at_most: usize) -> Vec<i64> {
        let now = self.now_ms();
        let mut clock = self.clock.lock();
        clock.follow(store, now);
        clock.due(now, at_most)
    }

    /// Restores the lease's whole time; false if it has expired.
    pub fn renew(&self, lease: &Lease) -> bool {
        let now = self.now_ms();
        self.clock.lock().renew(lease, now)
    }

    /// The lease's remaining time in milliseconds.
    pub fn remaining_ms(&self, lease: &Lease) -> u64 {
        let now = self.now_ms();
        self.clock.lock().remaining_ms(lease, now)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { started: Instant::now(), clock: Mutex::default() }
    }
}
