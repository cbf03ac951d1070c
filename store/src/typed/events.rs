//! What happened: a ring of the last [`KEPT`] events, with ids that grow by one.

use serde::{Deserialize, Serialize};

use super::{RecordError, Txn, get, keys};
use crate::Store;

/// Events that stay.
pub const KEPT: u64 = 1_000;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// May need somebody.
    Warning,
    /// Needs somebody.
    Error,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Ascending without gaps, from 1.
    pub id: u64,
    /// RFC 3339.
    pub time: String,
    /// Such as `node.joined`.
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// Whom it is about.
    pub node: Option<u64>,
    /// One sentence.
    pub message: String,
    /// More, for machines.
    #[serde(default)]
    pub data: Option<serde_json::Value>,
}

/// Adds the next event to the transaction, which then also compares that no other event came in between: where it did not
/// [succeed](super::succeeded), look again and try again. `event` makes the record for the id that it is given.
///
/// # Errors
/// When the counter cannot be read.
pub fn append(store: &Store, txn: Txn, event: impl FnOnce(u64) -> EventRecord) -> Result<Txn, RecordError> {
    let next = get::<u64>(store, keys::NEXT_EVENT)?;
    let (id, revision) = next.map_or((1, 0), |next| (next.value, next.revision));
    let txn = txn.expect(keys::NEXT_EVENT, revision).put(keys::NEXT_EVENT, &(id + 1)).put(&keys::event(id), &event(id));
    Ok(if id > KEPT { txn.delete(&keys::event(id - KEPT)) } else { txn })
}
