//! Which keys exist for a caller.

use disco_proto::v1::{Command, RangeRequest, RangeResponse, TxnRequest, TxnResponse};

use crate::{Compacted, History, Lease, ReadError, Refused, SYSTEM_PREFIX, Store};

/// The part of the keys that exists for a caller. Keys outside of it do not exist for its ranges, counts, comparisons,
/// deletions and watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All keys.
    #[default]
    All,
    /// The keys of users: all but those below [`SYSTEM_PREFIX`].
    Users,
}

impl Scope {
    /// The scope of a command's comparisons, ranges and deletions.
    pub(crate) fn of(command: &Command) -> Self {
        if command.users_only { Self::Users } else { Self::All }
    }

    /// Whether the key may exist for the caller.
    pub fn contains(self, key: &[u8]) -> bool {
        self == Self::All || !key.starts_with(SYSTEM_PREFIX)
    }
}

/// The store as it is for the callers of a scope.
///
/// Revisions are those of the whole store: they also grow when keys outside of the scope change.
#[derive(Clone, Copy)]
pub struct View<'a> {
    store: &'a Store,
    scope: Scope,
}

impl<'a> View<'a> {
    /// As [`Store::range`].
    ///
    /// # Errors
    /// As there.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
        self.store.range_in(self.scope, request)
    }

    /// As [`Store::range_txn`].
    ///
    /// # Errors
    /// As there.
    pub fn range_txn(&self, txn: &TxnRequest) -> Result<TxnResponse, Refused> {
        self.store.range_txn_in(self.scope, txn)
    }

    /// As [`Store::history`].
    ///
    /// # Errors
    /// As there.
    pub fn history(
        &self,
        from_revision: i64,
        key: &[u8],
        range_end: &[u8],
        max_events: usize,
    ) -> Result<History, Compacted> {
        self.store.history_in(self.scope, from_revision, key, range_end, max_events)
    }

    /// The leases that hold no key outside of the scope, by id.
    pub fn leases(&self) -> impl Iterator<Item = &'a Lease> {
        let scope = self.scope;
        self.store.leases().filter(move |lease| lease.is_in(scope))
    }

    /// The lease with that id, unless it holds a key outside of the scope.
    pub fn lease(&self, id: i64) -> Option<&'a Lease> {
        self.store.lease(id).filter(|lease| lease.is_in(self.scope))
    }

    /// As [`Store::revision`].
    pub fn revision(&self) -> i64 {
        self.store.revision()
    }
}

impl Store {
    /// The store as it is for the callers of the scope.
    pub fn view(&self, scope: Scope) -> View<'_> {
        View { store: self, scope }
    }
}
