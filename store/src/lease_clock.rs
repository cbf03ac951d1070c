//! Counts the time of leases on the leader.
//!
//! Time is no part of the state: it is an argument, in milliseconds of the leader's monotonic clock. Each leader starts
//! with an empty clock and gives every lease its whole time again, so a lease may live longer than requested, but never
//! shorter.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Lease, Store};

/// When each lease ends.
#[derive(Debug, Clone, Default)]
pub struct LeaseClock {
    /// By id; the same as in `order`.
    deadlines: BTreeMap<i64, u64>,
    order: BTreeSet<(u64, i64)>,
    /// [`Store::lease_changes`] when all leases were last read.
    seen: Option<u64>,
}

impl LeaseClock {
    /// Adds new leases and removes those that no longer exist.
    pub fn follow(&mut self, store: &Store, now_ms: u64) {
        let changes = store.lease_changes();
        if self.seen == Some(changes) {
            return;
        }
        self.seen = Some(changes);
        let gone: Vec<i64> = self.deadlines.keys().copied().filter(|&id| store.lease(id).is_none()).collect();
        for id in gone {
            self.forget(id);
        }
        for lease in store.leases() {
            if !self.deadlines.contains_key(&lease.id()) {
                self.set(lease, now_ms);
            }
        }
    }

    /// Restores the lease's whole time. False if it has expired: it is about to be revoked, and nothing stops that.
    pub fn renew(&mut self, lease: &Lease, now_ms: u64) -> bool {
        if self.deadlines.get(&lease.id()).is_some_and(|&deadline| deadline <= now_ms) {
            return false;
        }
        self.set(lease, now_ms);
        true
    }

    /// The lease's remaining time in milliseconds; its whole time if it is not in the clock yet.
    pub fn remaining_ms(&self, lease: &Lease, now_ms: u64) -> u64 {
        self.deadlines.get(&lease.id()).map_or(lifetime_ms(lease), |deadline| deadline.saturating_sub(now_ms))
    }

    /// Expired leases, in the order of their ends, at most `at_most`.
    pub fn due(&self, now_ms: u64, at_most: usize) -> Vec<i64> {
        self.order.range(..=(now_ms, i64::MAX)).map(|&(_, id)| id).take(at_most).collect()
    }

    fn set(&mut self, lease: &Lease, now_ms: u64) {
        self.forget(lease.id());
        let deadline = now_ms.saturating_add(lifetime_ms(lease));
        self.deadlines.insert(lease.id(), deadline);
        self.order.insert((deadline, lease.id()));
    }

    fn forget(&mut self, id: i64) {
        if let Some(deadline) = self.deadlines.remove(&id) {
            self.order.remove(&(deadline, id));
        }
    }
}

fn lifetime_ms(lease: &Lease) -> u64 {
    u64::try_from(lease.ttl()).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::{Command, LeaseGrantRequest, LeaseRevokeRequest, command::Operation};

    use super::*;

    fn apply(store: &mut Store, operation: Operation) {
        store.apply(1, &Command { operation: Some(operation), ..Command::default() });
    }

    fn grant(store: &mut Store, id: i64, ttl: i64) {
        apply(store, Operation::LeaseGrant(LeaseGrantRequest { id, ttl }));
    }

    #[test]
    fn leases_end_in_the_order_of_their_deadlines_and_not_before() {
        let (mut store, mut clock) = (Store::default(), LeaseClock::default());
        grant(&mut store, 1, 10);
        grant(&mut store, 2, 5);
        clock.follow(&store, 1_000);
        grant(&mut store, 3, 1);
        clock.follow(&store, 2_000);
        assert!(clock.due(2_999, 9).is_empty());
        assert_eq!(clock.due(3_000, 9), [3]);
        assert_eq!(clock.due(11_000, 9), [3, 2, 1]);
        assert_eq!(clock.due(11_000, 2), [3, 2]);
        assert_eq!(clock.remaining_ms(store.lease(1).unwrap(), 4_000), 7_000);
        apply(&mut store, Operation::LeaseRevoke(LeaseRevokeRequest { id: 3 }));
        clock.follow(&store, 11_000);
        assert_eq!(clock.due(11_000, 9), [2, 1]);
    }

    #[test]
    fn a_lease_is_renewed_until_its_time_is_over() {
        let (mut store, mut clock) = (Store::default(), LeaseClock::default());
        grant(&mut store, 1, 10);
        clock.follow(&store, 0);
        let lease = store.lease(1).unwrap();
        assert!(clock.renew(lease, 9_999));
        assert_eq!((clock.due(19_998, 9), clock.due(19_999, 9)), (vec![], vec![1]));
        assert!(!clock.renew(lease, 19_999), "an answer that the lease lives could be wrong");
        assert_eq!(clock.due(19_999, 9), [1]);
    }

    #[test]
    fn a_new_leader_gives_every_lease_its_whole_time() {
        let (mut store, mut clock) = (Store::default(), LeaseClock::default());
        grant(&mut store, 1, 10);
        clock.follow(&store, 0);
        let mut next = LeaseClock::default();
        next.follow(&store, 9_000);
        assert_eq!(next.remaining_ms(store.lease(1).unwrap(), 9_000), 10_000);
        // Including one that was granted since the clock's last update.
        grant(&mut store, 2, 7);
        assert_eq!(next.remaining_ms(store.lease(2).unwrap(), 9_000), 7_000);
        assert!(next.renew(store.lease(2).unwrap(), 9_000));
        grant(&mut store, 3, i64::MAX);
        assert!(store.lease(3).is_none(), "a time that is too long is refused");
    }
}
