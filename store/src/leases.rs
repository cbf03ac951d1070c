//! Leases and their attached keys.
//!
//! The store knows no time: it stores the time to live of a lease; the leader counts, and proposes the revocation.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use crate::{SYSTEM_END, SYSTEM_PREFIX, Scope};

/// The counted size of a lease without keys.
pub(crate) const LEASE_BYTES: u64 = 128;
/// The counted size of each attached key.
const ATTACHMENT_BYTES: u64 = 32;

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub(crate) id: i64,
    pub(crate) ttl: i64,
    pub(crate) granted_at_ms: i64,
    pub(crate) keys: BTreeSet<Arc<[u8]>>,
}

impl Lease {
    /// Chosen by the client; above 0.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Time to live in seconds after the grant or the last renewal.
    pub fn ttl(&self) -> i64 {
        self.ttl
    }

    /// Unix time in milliseconds at the proposer of the grant; informational, since clocks differ.
    pub fn granted_at_ms(&self) -> i64 {
        self.granted_at_ms
    }

    /// Whether no attached key is outside of the scope.
    pub fn is_in(&self, scope: Scope) -> bool {
        let own = (Bound::Included(SYSTEM_PREFIX), Bound::Excluded(SYSTEM_END));
        scope == Scope::All || self.keys.range::<[u8], _>(own).next().is_none()
    }

    /// The attached keys in order: they are deleted when the lease is revoked.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.keys.iter().map(|key| &**key)
    }
}

/// All leases by id. Every attached key exists and names this lease.
#[derive(Clone, Default)]
pub(crate) struct Leases {
    leases: BTreeMap<i64, Lease>,
    attached: u64,
    changes: u64,
}

impl Leases {
    pub(crate) fn len(&self) -> usize {
        self.leases.len()
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.leases.len() as u64 * LEASE_BYTES + self.attached * ATTACHMENT_BYTES
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    pub(crate) fn get(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    /// False if a lease with that id exists already.
    pub(crate) fn grant(&mut self, id: i64, ttl: i64, granted_at_ms: i64) -> bool {
        if self.leases.contains_key(&id) {
            return false;
        }
        self.leases.insert(id, Lease { id, ttl, granted_at_ms, keys: BTreeSet::new() });
        self.changes += 1;
        true
    }

    /// Removes the lease; the caller handles its keys.
    pub(crate) fn remove(&mut self, id: i64) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        self.attached -= lease.keys.len() as u64;
        self.changes += 1;
        Some(lease)
    }

    /// Does nothing for the lease 0, which means none; false if the lease does not exist.
    pub(crate) fn attach(&mut self, id: i64, key: &Arc<[u8]>) -> bool {
        if id == 0 {
            return true;
        }
        let Some(lease) = self.leases.get_mut(&id) else { return false };
        self.attached += u64::from(lease.keys.insert(Arc::clone(key)));
        true
    }

    pub(crate) fn detach(&mut self, id: i64, key: &[u8]) {
        if let Some(lease) = self.leases.get_mut(&id) {
            self.attached -= u64::from(lease.keys.remove(key));
        }
    }
}
