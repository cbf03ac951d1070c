//! Writing records.

use bytes::Bytes;
use disco_proto::v1::{
    CommandResponse, Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest,
    command::Operation,
    command_response,
    compare::{self, Target},
    request_op::Request,
};
use serde::Serialize;

/// A transaction that is being built: its writes are applied together or, if an expectation does not hold, not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Txn {
    txn: TxnRequest,
}

impl Txn {
    /// An empty transaction.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires that the key was last changed at this revision; 0: that it does not exist.
    #[must_use]
    pub fn expect(mut self, key: &str, revision: i64) -> Self {
        self.txn.compare.push(Compare {
            result: compare::Result::Equal.into(),
            key: bytes(key),
            target: Some(Target::ModRevision(revision)),
            ..Compare::default()
        });
        self
    }

    /// Requires that the key does not exist: a record is created once.
    #[must_use]
    pub fn absent(self, key: &str) -> Self {
        self.expect(key, 0)
    }

    /// Writes a record. All records are plain data with text keys, which always have a JSON form.
    #[must_use]
    pub fn put<T: Serialize + ?Sized>(self, key: &str, record: &T) -> Self {
        let value = serde_json::to_vec(record)
            .unwrap_or_else(|error| unreachable!("the record `{key}` has no JSON form: {error}"));
        self.put_bytes(key, value.into())
    }

    /// Writes a record that is attached to a lease.
    #[must_use]
    pub fn put_leased<T: Serialize + ?Sized>(self, key: &str, record: &T, lease: i64) -> Self {
        let mut txn = self.put(key, record);
        if let Some(RequestOp { request: Some(Request::Put(put)) }) = txn.txn.success.last_mut() {
            put.lease = lease;
        }
        txn
    }

    /// Writes bytes.
    #[must_use]
    pub fn put_bytes(mut self, key: &str, value: Bytes) -> Self {
        let put = PutRequest { key: bytes(key), value, ..PutRequest::default() };
        self.txn.success.push(RequestOp { request: Some(Request::Put(put)) });
        self
    }

    /// Deletes a record, if it exists.
    #[must_use]
    pub fn delete(mut self, key: &str) -> Self {
        let delete = DeleteRangeRequest { key: bytes(key), ..DeleteRangeRequest::default() };
        self.txn.success.push(RequestOp { request: Some(Request::DeleteRange(delete)) });
        self
    }

    /// Whether it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.txn.success.is_empty()
    }

    /// The operation of a command.
    pub fn operation(self) -> Operation {
        Operation::Txn(self.txn)
    }
}

/// Whether the response is that of a transaction whose expectations held.
pub fn succeeded(response: &CommandResponse) -> bool {
    matches!(&response.result, Some(command_response::Result::Txn(txn)) if txn.succeeded)
}

fn bytes(key: &str) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}
