//! Reading records.

use bytes::Bytes;
use disco_proto::v1::{KeyValue, RangeRequest};
use serde::de::DeserializeOwned;

use super::RecordError;
use crate::{Store, prefix_range};

/// A record with the revision of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The record.
    pub value: T,
    /// Its `mod_revision`, for [`Txn::expect`](super::Txn::expect).
    pub revision: i64,
}

/// Decodes a key-value pair.
///
/// # Errors
/// The value is not of that type.
pub fn decode<T: DeserializeOwned>(kv: &KeyValue) -> Result<Versioned<T>, RecordError> {
    let value = serde_json::from_slice(&kv.value)
        .map_err(|source| RecordError::Decode { key: String::from_utf8_lossy(&kv.key).into_owned(), source })?;
    Ok(Versioned { value, revision: kv.mod_revision })
}

/// The record at that key, if it exists.
///
/// # Errors
/// The value is not of that type.
pub fn get<T: DeserializeOwned>(store: &Store, key: &str) -> Result<Option<Versioned<T>>, RecordError> {
    let key = Bytes::copy_from_slice(key.as_bytes());
    pairs(store, &RangeRequest { key, ..RangeRequest::default() }).pop().as_ref().map(decode).transpose()
}

/// All records whose keys start with the prefix, in the order of keys. An unreadable one does not hide the others.
pub fn list<T: DeserializeOwned>(store: &Store, prefix: &str) -> Vec<Result<Versioned<T>, RecordError>> {
    pairs(store, &prefix_range(prefix)).iter().map(decode).collect()
}

fn pairs(store: &Store, range: &RangeRequest) -> Vec<KeyValue> {
    // A range at the newest revision can be answered, unless the key is empty, and no record has an empty key.
    store.range(range).map(|response| response.kvs).unwrap_or_default()
}
