//! Checks of a command that need no state: form, sizes, and keys written twice.

use std::collections::BTreeSet;

use disco_proto::v1::{
    Command, Compare, PutRequest, RangeRequest, Refusal, RequestOp, TxnRequest, command::Operation, compare,
    range_request, request_op::Request,
};
use prost::Message;

use crate::{KeyRange, Limits, Refused, refused::shown};

/// Maximum time to live of a lease, in seconds. As etcd's `MaxLeaseTTL`.
pub const LEASE_TTL_MAX: i64 = 9_000_000_000;

/// Refuses a command that [`apply`](crate::Store::apply) would refuse in any state, so that it need not enter the log
/// at all.
///
/// # Errors
/// The same refusal as from applying the command.
pub fn validate(command: &Command, limits: &Limits) -> Result<(), Refused> {
    if !matches!(command.request_id.len(), 0 | 16) {
        return Err(Refused::invalid(format!("request id must have 16 bytes, not {}", command.request_id.len())));
    }
    at_most("command", command.encoded_len(), limits.command_bytes)?;
    match &command.operation {
        None => Err(Refused::invalid("operation is missing in the command")),
        Some(Operation::Put(put)) => self::put(put, limits),
        Some(Operation::DeleteRange(delete)) => keys(&delete.key, &delete.range_end, limits),
        Some(Operation::Txn(txn)) => self::txn(txn, limits),
        Some(Operation::LeaseGrant(grant)) if grant.id <= 0 => {
            Err(Refused::invalid(format!("lease id must be above 0, not {}", grant.id)))
        }
        Some(Operation::LeaseGrant(grant)) if !(1..=LEASE_TTL_MAX).contains(&grant.ttl) => Err(Refused::invalid(
            format!("time to live of a lease must be 1 to {LEASE_TTL_MAX} seconds, not {}", grant.ttl),
        )),
        Some(Operation::LeaseGrant(_) | Operation::LeaseRevoke(_) | Operation::Compact(_) | Operation::SetAlarm(_)) => {
            Ok(())
        }
    }
}

fn at_most(what: &str, found: usize, limit: usize) -> Result<(), Refused> {
    if found <= limit {
        return Ok(());
    }
    Err(Refused::new(Refusal::TooLarge, format!("{what} must have at most {limit} bytes, not {found}")))
}

fn keys(key: &[u8], range_end: &[u8], limits: &Limits) -> Result<(), Refused> {
    if key.is_empty() {
        return Err(Refused::new(Refusal::EmptyKey, "key must not be empty"));
    }
    at_most("key", key.len().max(range_end.len()), limits.key_bytes)
}

fn put(put: &PutRequest, limits: &Limits) -> Result<(), Refused> {
    keys(&put.key, &[], limits)?;
    at_most("value", put.value.len(), limits.value_bytes)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(Refused::invalid("a put with `ignore_value` must not have a value"));
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(Refused::invalid("a put with `ignore_lease` must not name a lease"));
    }
    Ok(())
}

/// Whether sort order and target are known; the rest of a range depends on the state or may be any number.
pub(crate) fn sort_is_known(range: &RangeRequest) -> bool {
    range_request::SortOrder::try_from(range.sort_order).is_ok()
        && range_request::SortTarget::try_from(range.sort_target).is_ok()
}

pub(crate) fn txn(txn: &TxnRequest, limits: &Limits) -> Result<(), Refused> {
    // Depth first: everything else recurses.
    if depth(txn, limits.txn_depth) > limits.txn_depth {
        let message = format!("transactions must be nested at most {} deep", limits.txn_depth);
        return Err(Refused::new(Refusal::TooManyOperations, message));
    }
    let operations = operations(txn);
    if operations > limits.txn_operations {
        let message = format!("transaction must have at most {} operations, not {operations}", limits.txn_operations);
        return Err(Refused::new(Refusal::TooManyOperations, message));
    }
    form(txn, limits)?;
    written(&txn.success)?;
    written(&txn.failure)?;
    Ok(())
}

fn nested(operations: &[RequestOp]) -> impl Iterator<Item = &TxnRequest> {
    operations.iter().filter_map(|operation| match &operation.request {
        Some(Request::Txn(txn)) => Some(txn),
        _ => None,
    })
}

/// Nesting depth of a transaction, examined to one past `limit` only.
fn depth(txn: &TxnRequest, limit: usize) -> usize {
    if limit == 0 {
        return 1;
    }
    1 + nested(&txn.success).chain(nested(&txn.failure)).map(|txn| depth(txn, limit - 1)).max().unwrap_or(0)
}

/// Maximum number of comparisons or operations on any path.
fn operations(txn: &TxnRequest) -> usize {
    let branch = |branch: &[RequestOp]| branch.len() + nested(branch).map(operations).sum::<usize>();
    txn.compare.len().max(branch(&txn.success)).max(branch(&txn.failure))
}

fn form(txn: &TxnRequest, limits: &Limits) -> Result<(), Refused> {
    for compare in &txn.compare {
        comparison(compare, limits)?;
    }
    for operation in txn.success.iter().chain(&txn.failure) {
        match &operation.request {
            Some(Request::Range(range)) => {
                keys(&range.key, &range.range_end, limits)?;
                if !sort_is_known(range) {
                    return Err(Refused::invalid("unknown sort order or sort target of the range"));
                }
            }
            Some(Request::Put(put)) => self::put(put, limits)?,
            Some(Request::DeleteRange(delete)) => keys(&delete.key, &delete.range_end, limits)?,
            Some(Request::Txn(nested)) => form(nested, limits)?,
            None => return Err(Refused::invalid("an operation of the transaction is empty")),
        }
    }
    Ok(())
}

fn comparison(compare: &Compare, limits: &Limits) -> Result<(), Refused> {
    keys(&compare.key, &compare.range_end, limits)?;
    if compare::Result::try_from(compare.result).is_err() {
        return Err(Refused::invalid("unknown result of a comparison"));
    }
    if compare.target.is_none() {
        return Err(Refused::invalid("a comparison has no target"));
    }
    Ok(())
}

/// Keys put, and ranges deleted, by some path through a branch.
#[derive(Default)]
struct Written<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Vec<KeyRange<'a>>,
}

impl<'a> Written<'a> {
    /// Adds writes of the same run.
    fn and(&mut self, other: Written<'a>) -> Result<(), Refused> {
        let twice = |key: &[u8]| {
            let message = format!("the transaction changes the key {} more than once", shown(key));
            Err(Refused::new(Refusal::DuplicateKey, message))
        };
        for &key in &other.puts {
            if self.puts.contains(key) || self.deletes.iter().any(|range| range.contains(key)) {
                return twice(key);
            }
        }
        for range in &other.deletes {
            if let Some(key) = range.parts().find_map(|part| self.puts.range::<[u8], _>(part).next()) {
                return twice(key);
            }
        }
        self.puts.extend(other.puts);
        self.deletes.extend(other.deletes);
        Ok(())
    }
}

/// The writes of a branch; refuses keys that are put twice, or put and deleted, in one run, so that a revision changes
/// each key at most once. Deleted ranges may overlap.
///
/// As in etcd, except for a deletion in a nested transaction after the put in an earlier sibling, which etcd accepts.
fn written(branch: &[RequestOp]) -> Result<Written<'_>, Refused> {
    let mut all = Written::default();
    for operation in branch {
        match &operation.request {
            Some(Request::Put(put)) => {
                all.and(Written { puts: BTreeSet::from([&*put.key]), deletes: Vec::new() })?;
            }
            Some(Request::DeleteRange(delete)) => {
                let range = KeyRange::new(&delete.key, &delete.range_end);
                all.and(Written { puts: BTreeSet::new(), deletes: vec![range] })?;
            }
            Some(Request::Txn(txn)) => {
                // Only one of them runs: the same key in both is no conflict.
                let mut either = written(&txn.success)?;
                let failure = written(&txn.failure)?;
                either.puts.extend(failure.puts);
                either.deletes.extend(failure.deletes);
                all.and(either)?;
            }
            Some(Request::Range(_)) | None => (),
        }
    }
    Ok(all)
}
