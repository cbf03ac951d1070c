//! The time of leases, on the node that leads.
//!
//! The controller of leases starts the clock when leadership begins and drops it at its end; requests that ask for a lease's
//! time, or renew it, use the same clock in between. What is decided is decided by [`disco_store::LeaseClock`].

use disco_store::{Lease, LeaseClock, Store};
use parking_lot::Mutex;
use tokio::time::Instant;

/// This node's clock of leases, if it leads.
pub struct Lessor {
    started: Instant,
    clock: Mutex<Option<(u64, LeaseClock)>>,
}

/// Drops the clock of one term when leadership ends.
pub struct Leading<'a> {
    lessor: &'a Lessor,
    term: u64,
}

// === impl Lessor ===

impl Lessor {
    /// From now on leases are counted for this term: every lease has its whole time.
    pub fn lead(&self, term: u64) -> Leading<'_> {
        *self.clock.lock() = Some((term, LeaseClock::default()));
        Leading { lessor: self, term }
    }

    /// Takes up what is new in the store; leases whose time is over, at most so many.
    pub fn due(&self, store: &Store, at_most: usize) -> Vec<i64> {
        let now = self.now_ms();
        let mut clock = self.clock.lock();
        let Some((_, clock)) = clock.as_mut() else { return Vec::new() };
        clock.follow(store, now);
        clock.due(now, at_most)
    }

    /// Gives the lease its whole time again; false when its time is over. `None` where leases are not counted for that term (yet).
    pub fn renew(&self, term: u64, lease: &Lease) -> Option<bool> {
        let now = self.now_ms();
        let mut clock = self.clock.lock();
        let (of, clock) = clock.as_mut()?;
        (*of == term).then(|| clock.renew(lease, now))
    }

    /// What the lease has left, in milliseconds. `None` as for [`Self::renew`].
    pub fn remaining_ms(&self, term: u64, lease: &Lease) -> Option<u64> {
        let now = self.now_ms();
        let clock = self.clock.lock();
        let (of, clock) = clock.as_ref()?;
        (*of == term).then(|| clock.remaining_ms(lease, now))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Lessor {
    fn default() -> Self {
        Self { started: Instant::now(), clock: Mutex::default() }
    }
}

// === impl Leading ===

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut clock = self.lessor.clock.lock();
        if clock.as_ref().is_some_and(|(term, _)| *term == self.term) {
            *clock = None;
        }
    }
}
