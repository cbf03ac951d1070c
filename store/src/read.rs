//! Ranges, now and at retained revisions.

use std::{cmp::Ordering, sync::Arc};

use disco_proto::v1::{
    KeyValue, RangeRequest, RangeResponse,
    range_request::{SortOrder, SortTarget},
};

use crate::{KeyRange, Scope, history::Version, keyspace::Keyspace, validate};

/// Why a range cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The request names no key.
    #[error("key must not be empty")]
    EmptyKey,
    /// The revision is compacted.
    #[error("revision {requested} is compacted; the oldest available is {compact_revision}")]
    Compacted {
        /// Requested revision.
        requested: i64,
        /// The oldest available revision.
        compact_revision: i64,
    },
    /// The revision is in the future, or this node has not applied it yet.
    #[error("revision {requested} is in the future; the newest is {revision}")]
    Future {
        /// Requested revision.
        requested: i64,
        /// The newest revision.
        revision: i64,
    },
    /// A number that is neither a sort order nor a target.
    #[error("unknown sort order or sort target of the range")]
    UnknownSort,
}

/// Whether a read at `requested` (0 or less: now) can be answered.
pub(crate) fn check_revision(requested: i64, revision: i64, compact_revision: i64) -> Result<(), ReadError> {
    if requested <= 0 {
        return Ok(());
    }
    if requested > revision {
        return Err(ReadError::Future { requested, revision });
    }
    if requested < compact_revision {
        return Err(ReadError::Compacted { requested, compact_revision });
    }
    Ok(())
}

/// Answers a range whose revision was checked; `revision` is the newest.
pub(crate) fn range(keys: &Keyspace, scope: Scope, request: &RangeRequest, revision: i64) -> RangeResponse {
    let range = KeyRange::new(&request.key, &request.range_end).within(scope);
    if request.revision > 0 && request.revision < revision {
        answer(keys.range_at(range, request.revision), request, revision)
    } else {
        answer(keys.range(range), request, revision)
    }
}

type Found<'a> = (&'a Arc<[u8]>, &'a Version);

fn answer<'a>(found: impl Iterator<Item = Found<'a>>, request: &RangeRequest, revision: i64) -> RangeResponse {
    if request.count_only {
        return RangeResponse { revision, count: found.count() as i64, ..RangeResponse::default() };
    }
    let order = Order::of(request);
    let limit = usize::try_from(request.limit).ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX);
    // One more than the limit shows that there are more; sorting needs all.
    let collect = if order.is_by_key() { limit.saturating_add(1) } else { usize::MAX };
    let mut count = 0_i64;
    let mut chosen: Vec<Found<'a>> = Vec::new();
    for (key, version) in found {
        count += 1;
        if chosen.len() < collect && is_wanted(version, request) {
            chosen.push((key, version));
        }
    }
    order.sort(&mut chosen);
    let more = chosen.len() > limit;
    chosen.truncate(limit);
    let to_key_value = |(key, version): Found<'a>| -> KeyValue {
        if request.keys_only { version.without_value(key) } else { version.to_key_value(key) }
    };
    RangeResponse { revision, kvs: chosen.into_iter().map(to_key_value).collect(), more, count }
}

/// The four bounds on revisions; 0 is no bound. They do not affect the count, as in etcd.
fn is_wanted(version: &Version, request: &RangeRequest) -> bool {
    let within = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(version.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(version.create_revision, request.min_create_revision, request.max_create_revision)
}

/// The order of an answer. Without an order, another target than the key means ascending.
struct Order {
    target: SortTarget,
    descending: bool,
}

impl Order {
    fn of(request: &RangeRequest) -> Self {
        Self { target: request.sort_target(), descending: request.sort_order() == SortOrder::Descend }
    }

    /// Whether the map already yields keys in this order.
    fn is_by_key(&self) -> bool {
        self.target == SortTarget::Key && !self.descending
    }

    fn sort(&self, found: &mut [Found<'_>]) {
        let compare = |(a_key, a): &Found<'_>, (b_key, b): &Found<'_>| -> Ordering {
            match self.target {
                SortTarget::Key => a_key.cmp(b_key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            }
        };
        // Stable: equal ones stay in the order of their keys.
        if self.descending {
            found.sort_by(|a, b| compare(b, a));
        } else if !self.is_by_key() {
            found.sort_by(compare);
        }
    }
}

/// Checks a range outside of a transaction; transactions are validated before.
pub(crate) fn check_form(request: &RangeRequest) -> Result<(), ReadError> {
    if request.key.is_empty() {
        return Err(ReadError::EmptyKey);
    }
    if !validate::sort_is_known(request) {
        return Err(ReadError::UnknownSort);
    }
    Ok(())
}
