//! Events: a ring of the last [`KEPT`] ones, with ids that increase by one.

use serde::{Deserialize, Serialize};

use super::{RecordError, Txn, get, keys};
use crate::Store;

/// Number of retained events.
pub const KEPT: u64 = 1_000;

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Informational.
    Info,
    /// May need an operator's attention.
    Warning,
    /// Needs an operator's attention.
    Error,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Ascending without gaps, from 1.
    pub id: u64,
    /// RFC 3339.
    pub time: String,
    /// Such as `node.joined`.
    pub kind: String,
    /// Its severity.
    pub severity: Severity,
    /// The node that it concerns.
    pub node: Option<u64>,
    /// One sentence.
    pub message: String,
    /// Structured data.
    #[serde(default)]
    pub data: Option<serde_json::Value>,
}

/// Adds the next event to the transaction, which then also requires that no other event was added meanwhile: if it did
/// not [succeed](super::succeeded), read again and retry. `event` creates the record for the given id.
///
/// # Errors
/// The counter cannot be read.
pub fn append(store: &Store, txn: Txn, event: impl FnOnce(u64) -> EventRecord) -> Result<Txn, RecordError> {
    let mut event = Some(event);
    append_all(store, txn, 1, |id| event.take().map(|event| event(id)))
}

/// Like [`append`], for `count` events: `event` creates the record for each of their ids, in their order.
///
/// # Errors
/// The counter cannot be read.
pub fn append_all(
    store: &Store,
    mut txn: Txn,
    count: u64,
    mut event: impl FnMut(u64) -> Option<EventRecord>,
) -> Result<Txn, RecordError> {
    if count == 0 {
        return Ok(txn);
    }
    let next = get::<u64>(store, keys::NEXT_EVENT)?;
    let (first, revision) = next.map_or((1, 0), |next| (next.value, next.revision));
    txn = txn.expect(keys::NEXT_EVENT, revision).put(keys::NEXT_EVENT, &(first + count));
    for id in first..first + count {
        if let Some(event) = event(id) {
            txn = txn.put(&keys::event(id), &event);
        }
        if id > KEPT {
            txn = txn.delete(&keys::event(id - KEPT));
        }
    }
    Ok(txn)
}
