//! A revision that is being written.

use std::sync::Arc;

use disco_proto::v1::{
    DeleteRangeRequest, DeleteRangeResponse, Event, KeyValue, PutRequest, PutResponse, ResponseOp, TxnRequest,
    TxnResponse, event, request_op::Request, response_op::Response,
};

use crate::{
    KeyRange, Scope, Store,
    history::Version,
    read,
    txn::{self, Path},
};

/// The changes of one command, all at one revision. Checked operations cannot fail here.
///
/// [`finish`](Self::finish) moves the store to the new revision if anything was changed; without it the store is
/// between two revisions.
pub(crate) struct Write<'a> {
    store: &'a mut Store,
    /// Of ranges that are read or deleted.
    scope: Scope,
    /// Revision of the changes, once there is one.
    revision: i64,
    events: Vec<Event>,
}

impl<'a> Write<'a> {
    pub(crate) fn new(store: &'a mut Store, scope: Scope) -> Self {
        let revision = store.revision + 1;
        Self { store, scope, revision, events: Vec::new() }
    }

    pub(crate) fn finish(self) -> Vec<Event> {
        if !self.events.is_empty() {
            self.store.revision = self.revision;
        }
        self.events
    }

    /// The revision of an answer given now: the new one from the first change on.
    fn seen(&self) -> i64 {
        if self.events.is_empty() { self.store.revision } else { self.revision }
    }

    pub(crate) fn put(&mut self, put: &PutRequest) -> PutResponse {
        let previous = self.store.keys.alive(&put.key).map(|(_, version)| version);
        let (create_revision, version, old_lease) =
            previous.map_or((self.revision, 1, 0), |old| (old.create_revision, old.version + 1, old.lease));
        let lease = if put.ignore_lease { old_lease } else { put.lease };
        let kept = previous.and_then(|old| old.value.as_ref()).filter(|_| put.ignore_value);
        let value = kept.map_or_else(|| Arc::from(&*put.value), Arc::clone);
        let prev_kv = previous.map(|old| old.to_key_value(&put.key));

        let new = Version { mod_revision: self.revision, create_revision, version, lease, value: Some(value) };
        let mut kv = new.without_value(&put.key);
        kv.key = put.key.clone();
        kv.value = match &prev_kv {
            Some(old) if put.ignore_value => old.value.clone(),
            _ => put.value.clone(),
        };
        let key = self.store.keys.write(&put.key, new);
        if old_lease != lease {
            self.store.leases.detach(old_lease, &key);
        }
        self.store.leases.attach(lease, &key);
        self.changed(event::Type::Put, key, kv, prev_kv.clone());
        PutResponse { revision: self.revision, prev_kv: prev_kv.filter(|_| put.prev_kv) }
    }

    pub(crate) fn delete_range(&mut self, delete: &DeleteRangeRequest) -> DeleteRangeResponse {
        let range = KeyRange::new(&delete.key, &delete.range_end).within(self.scope);
        let keys: Vec<_> = self.store.keys.range(range).map(|(key, _)| Arc::clone(key)).collect();
        let before = self.events.len();
        self.delete(&keys);
        let deleted = &self.events[before..];
        let prev_kvs = if delete.prev_kv {
            deleted.iter().filter_map(|event| event.prev_kv.clone()).collect()
        } else {
            Vec::new()
        };
        DeleteRangeResponse { revision: self.seen(), deleted: deleted.len() as i64, prev_kvs }
    }

    /// Deletes the given keys that exist.
    pub(crate) fn delete<'k>(&mut self, keys: impl IntoIterator<Item = &'k Arc<[u8]>>) {
        for key in keys {
            let Some((_, old)) = self.store.keys.alive(key) else { continue };
            let (lease, prev_kv) = (old.lease, old.to_key_value(key));
            let deleted = Version::deleted(self.revision);
            let kv = deleted.without_value(key);
            self.store.keys.write(key, deleted);
            self.store.leases.detach(lease, key);
            self.changed(event::Type::Delete, Arc::clone(key), kv, Some(prev_kv));
        }
    }

    pub(crate) fn txn(&mut self, txn: &TxnRequest, path: &Path) -> TxnResponse {
        let mut nested = path.nested.iter();
        let mut responses = Vec::new();
        for operation in txn::branch(txn, path.succeeded) {
            let response = match &operation.request {
                Some(Request::Range(range)) => {
                    Some(Response::Range(read::range(&self.store.keys, self.scope, range, self.seen())))
                }
                Some(Request::Put(put)) => Some(Response::Put(self.put(put))),
                Some(Request::DeleteRange(delete)) => Some(Response::DeleteRange(self.delete_range(delete))),
                Some(Request::Txn(txn)) => nested.next().map(|path| Response::Txn(self.txn(txn, path))),
                None => None,
            };
            responses.push(ResponseOp { response });
        }
        TxnResponse { revision: self.seen(), succeeded: path.succeeded, responses }
    }

    fn changed(&mut self, kind: event::Type, key: Arc<[u8]>, kv: KeyValue, prev_kv: Option<KeyValue>) {
        self.store.log.push(self.revision, key);
        self.events.push(Event { r#type: kind.into(), kv: Some(kv), prev_kv });
    }
}
