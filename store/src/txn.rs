//! The path of a transaction, and whether it may run.
//!
//! As in etcd, all comparisons, including those of nested transactions, are made on the state before the transaction.
//! So the path is known, and everything on it checked, before the first write: a transaction is never rolled back.

use disco_proto::v1::{
    Compare, PutRequest, Refusal, RequestOp, ResponseOp, TxnRequest, TxnResponse,
    compare::{self, Target},
    request_op::Request,
    response_op::Response,
};

use crate::{
    KeyRange, Refused, Scope, Store, history::Version, keyspace::Keyspace, limits::SYSTEM_PREFIX, read, refused::shown,
    validate,
};

/// The path that a transaction takes.
pub(crate) struct Path {
    pub(crate) succeeded: bool,
    /// For each nested transaction of the chosen branch, in order.
    pub(crate) nested: Vec<Path>,
}

impl Path {
    pub(crate) fn of(txn: &TxnRequest, keys: &Keyspace, scope: Scope) -> Self {
        let succeeded = txn.compare.iter().all(|compare| holds(compare, keys, scope));
        let nested = branch(txn, succeeded)
            .iter()
            .filter_map(|operation| match &operation.request {
                Some(Request::Txn(txn)) => Some(Path::of(txn, keys, scope)),
                _ => None,
            })
            .collect();
        Self { succeeded, nested }
    }
}

/// The operations that run.
pub(crate) fn branch(txn: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded { &txn.success } else { &txn.failure }
}

/// Whether the comparison holds, for every key of its range. A range without keys is compared as one absent key, which
/// has no value: a comparison of values then never holds.
fn holds(compare: &Compare, keys: &Keyspace, scope: Scope) -> bool {
    let range = KeyRange::new(&compare.key, &compare.range_end).within(scope);
    let mut found = keys.range(range).map(|(_, version)| version).peekable();
    if found.peek().is_none() {
        return !matches!(compare.target, Some(Target::Value(_))) && holds_for(compare, &Version::deleted(0));
    }
    found.all(|version| holds_for(compare, version))
}

fn holds_for(compare: &Compare, version: &Version) -> bool {
    let ordering = match &compare.target {
        Some(Target::Version(number)) => version.version.cmp(number),
        Some(Target::CreateRevision(revision)) => version.create_revision.cmp(revision),
        Some(Target::ModRevision(revision)) => version.mod_revision.cmp(revision),
        Some(Target::Lease(lease)) => version.lease.cmp(lease),
        Some(Target::Value(value)) => version.value.as_deref().unwrap_or_default().cmp(value),
        // Validation has refused it already.
        None => return false,
    };
    match compare.result() {
        compare::Result::Equal => ordering.is_eq(),
        compare::Result::Greater => ordering.is_gt(),
        compare::Result::Less => ordering.is_lt(),
        compare::Result::NotEqual => ordering.is_ne(),
    }
}

/// The size that the puts of a command would add.
pub(crate) struct Cost {
    bytes: u64,
    /// Skips the lookup of keys and counts them as new ones: an upper bound.
    bound: bool,
    puts: bool,
    /// Whether all puts lie below the prefix of the cluster's own records.
    system: bool,
}

impl Cost {
    fn exact() -> Self {
        Self { bytes: 0, bound: false, puts: false, system: true }
    }

    fn bound() -> Self {
        Self { bound: true, ..Self::exact() }
    }

    /// The cost of something that is not a key.
    pub(crate) fn of_bytes(bytes: u64) -> Self {
        Self { bytes, bound: false, puts: true, system: false }
    }

    fn add(&mut self, put: &PutRequest, keys: &Keyspace) {
        let value_len = if put.ignore_value {
            keys.alive(&put.key).map_or(0, |(_, version)| version.value_len())
        } else {
            put.value.len()
        };
        self.bytes +=
            if self.bound { Keyspace::cost_of_new(&put.key, value_len) } else { keys.cost_of_put(&put.key, value_len) };
        self.puts = true;
        self.system &= put.key.starts_with(SYSTEM_PREFIX);
    }
}

impl Store {
    /// Answers a read-only transaction from the current state: it needs no log entry.
    ///
    /// # Errors
    /// The errors of applying the transaction; and if it contains anything but ranges.
    pub fn range_txn(&self, txn: &TxnRequest) -> Result<TxnResponse, Refused> {
        self.range_txn_in(Scope::All, txn)
    }

    pub(crate) fn range_txn_in(&self, scope: Scope, txn: &TxnRequest) -> Result<TxnResponse, Refused> {
        validate::txn(txn, &self.limits)?;
        let path = Path::of(txn, &self.keys, scope);
        self.check_txn(txn, &path, &mut Cost::bound())?;
        let responses = branch(txn, path.succeeded).iter().map(|operation| match &operation.request {
            Some(Request::Range(range)) => {
                let response = Response::Range(read::range(&self.keys, scope, range, self.revision));
                Ok(ResponseOp { response: Some(response) })
            }
            _ => Err(Refused::invalid("the transaction must only read")),
        });
        let responses = responses.collect::<Result<_, _>>()?;
        Ok(TxnResponse { revision: self.revision, succeeded: path.succeeded, responses })
    }

    /// Whether the operations in `check` may run, and fit. Nearly always the upper bound fits, so keys are looked up
    /// only if it does not.
    pub(crate) fn check(&self, check: impl Fn(&mut Cost) -> Result<(), Refused>) -> Result<(), Refused> {
        let mut cost = Cost::bound();
        check(&mut cost)?;
        if self.check_room(&cost).is_ok() {
            return Ok(());
        }
        let mut cost = Cost::exact();
        check(&mut cost)?;
        self.check_room(&cost)
    }

    /// Whether the put may run; adds its cost.
    pub(crate) fn check_put(&self, put: &PutRequest, cost: &mut Cost) -> Result<(), Refused> {
        if (put.ignore_value || put.ignore_lease) && self.keys.alive(&put.key).is_none() {
            let message = format!("the key {} does not exist", shown(&put.key));
            return Err(Refused::new(Refusal::KeyNotFound, message));
        }
        if put.lease != 0 && self.leases.get(put.lease).is_none() {
            return Err(lease_not_found(put.lease));
        }
        cost.add(put, &self.keys);
        Ok(())
    }

    /// Whether all operations on the path may run; adds their cost.
    pub(crate) fn check_txn(&self, txn: &TxnRequest, path: &Path, cost: &mut Cost) -> Result<(), Refused> {
        let mut nested = path.nested.iter();
        for operation in branch(txn, path.succeeded) {
            match &operation.request {
                Some(Request::Range(range)) => {
                    read::check_revision(range.revision, self.revision, self.compact_revision)?;
                }
                Some(Request::Put(put)) => self.check_put(put, cost)?,
                Some(Request::Txn(txn)) => {
                    if let Some(path) = nested.next() {
                        self.check_txn(txn, path, cost)?;
                    }
                }
                Some(Request::DeleteRange(_)) | None => (),
            }
        }
        Ok(())
    }

    /// Whether the cost fits. A command that adds nothing may always run: it is the way out of a full store.
    pub(crate) fn check_room(&self, cost: &Cost) -> Result<(), Refused> {
        if !cost.puts {
            return Ok(());
        }
        if self.full && !cost.system {
            let message = "the store is full: delete keys, compact, and clear the alarm (`etcdctl alarm disarm`)";
            return Err(Refused::new(Refusal::NoSpace, message));
        }
        let reserve = if cost.system { self.limits.reserve_bytes } else { 0 };
        let quota = self.limits.quota_bytes.saturating_add(reserve);
        if self.size_bytes().saturating_add(cost.bytes) > quota {
            let message = format!(
                "the store is full: it holds {} of {quota} bytes, and the command adds {}; delete keys, compact, and \
                 clear the alarm (`etcdctl alarm disarm`)",
                self.size_bytes(),
                cost.bytes
            );
            return Err(Refused::new(Refusal::NoSpace, message));
        }
        Ok(())
    }
}

pub(crate) fn lease_not_found(id: i64) -> Refused {
    Refused::new(Refusal::LeaseNotFound, format!("lease {id} does not exist"))
}
