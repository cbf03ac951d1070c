//! Queues of clients: the first is the one whose key under a prefix was created first, as long as that key exists.
//!
//! Keys and order are those of etcd's package `concurrency`, so clients of the lock and election services and clients
//! that implement that recipe themselves (`etcdctl lock`) wait for each other. This node stores nothing: a place is a
//! key with a lease, and outlives this node.

use bytes::Bytes;
use disco_proto::v1::command::Operation;
use disco_proto::v1::command_response::Result as Answer;
use disco_proto::v1::compare::{self, Target};
use disco_proto::v1::range_request::{SortOrder, SortTarget};
use disco_proto::v1::request_op::Request;
use disco_proto::v1::response_op::Response;
use disco_proto::v1::{
    Compare, DeleteRangeRequest, KeyValue, LeaseGrantRequest, LeaseResponse, PutRequest, RangeRequest, RequestOp,
    TxnRequest, TxnResponse,
};
use disco_store::{ReadError, View};
use tonic::Status;

use super::{EtcdService, errors};

/// Time to live of a lease that the client did not supply, in seconds; as etcd's sessions.
const SESSION_TTL: i64 = 60;

/// The keys of clients that wait for the same name.
pub(super) struct Queue {
    prefix: Bytes,
}

/// A place in a queue.
pub(super) struct Place {
    pub(super) key: Bytes,
    /// Revision at which its key was created.
    pub(super) revision: i64,
    pub(super) lease: i64,
    /// The previous value of a place that is not new.
    pub(super) value: Option<Bytes>,
}

/// Removes a place when its client disconnects before its turn.
struct GiveUp<'a> {
    service: &'a EtcdService,
    place: Option<&'a Place>,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(name: &[u8]) -> Self {
        Self { prefix: [name, b"/"].concat().into() }
    }

    fn key(&self, lease: i64) -> Bytes {
        [&self.prefix, format!("{lease:x}").as_bytes()].concat().into()
    }

    pub(super) fn prefix(&self) -> &Bytes {
        &self.prefix
    }

    /// The next byte string after all that begin with the prefix.
    pub(super) fn end(&self) -> Bytes {
        let mut end = self.prefix.to_vec();
        // It ends in a slash, so there is a next one.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        end.into()
    }

    /// The first client in the queue, at a revision, or now for 0.
    pub(super) fn first(&self, view: View<'_>, revision: i64) -> Result<Option<KeyValue>, ReadError> {
        self.one(view, RangeRequest { revision, ..self.range(SortOrder::Ascend) })
    }

    /// The client directly before this one.
    fn before(&self, view: View<'_>, place: &Place) -> Result<Option<KeyValue>, ReadError> {
        let range = self.range(SortOrder::Descend);
        self.one(view, RangeRequest { max_create_revision: place.revision - 1, keys_only: true, ..range })
    }

    fn range(&self, order: SortOrder) -> RangeRequest {
        RangeRequest {
            key: self.prefix.clone(),
            range_end: self.end(),
            limit: 1,
            sort_order: order.into(),
            sort_target: SortTarget::Create.into(),
            ..RangeRequest::default()
        }
    }

    fn one(&self, view: View<'_>, range: RangeRequest) -> Result<Option<KeyValue>, ReadError> {
        Ok(view.range(&range)?.kvs.into_iter().next())
    }
}

// === impl Place ===

impl Place {
    /// Whether this very key still exists.
    fn stands(&self, view: View<'_>) -> bool {
        is_there(view, &self.key, self.revision)
    }
}

/// Whether a key exists that was created at this revision.
fn is_there(view: View<'_>, key: &Bytes, created: i64) -> bool {
    let range = RangeRequest { key: key.clone(), keys_only: true, ..RangeRequest::default() };
    view.range(&range).is_ok_and(|answer| answer.kvs.first().is_some_and(|kv| kv.create_revision == created))
}

/// A transaction that applies `then` only if the key was created at this revision; 0: only if it does not exist.
pub(super) fn only_if(key: &Bytes, created: i64, then: Request, otherwise: Option<Request>) -> Operation {
    let operation = |request| RequestOp { request: Some(request) };
    Operation::Txn(TxnRequest {
        compare: vec![Compare {
            result: compare::Result::Equal.into(),
            key: key.clone(),
            target: Some(Target::CreateRevision(created)),
            ..Compare::default()
        }],
        success: vec![operation(then)],
        failure: otherwise.into_iter().map(operation).collect(),
    })
}

/// Deletes the key.
pub(super) fn deletion(key: &Bytes) -> Request {
    Request::DeleteRange(DeleteRangeRequest { key: key.clone(), ..DeleteRangeRequest::default() })
}

impl EtcdService {
    /// Writes a transaction.
    pub(super) async fn write_txn(&self, operation: Operation) -> Result<TxnResponse, Status> {
        match self.write(operation).await? {
            (_, Answer::Txn(answer)) => Ok(answer),
            _ => Err(errors::unexpected()),
        }
    }

    /// Takes a place at the end of the queue, or the one that the lease already has. Without a lease it grants a new
    /// one.
    pub(super) async fn take_place(&self, queue: &Queue, lease: i64, value: Bytes) -> Result<Place, Status> {
        let lease = match lease {
            0 => self.session().await?,
            lease => lease,
        };
        let key = queue.key(lease);
        let put = Request::Put(PutRequest { key: key.clone(), value, lease, ..PutRequest::default() });
        let get = Request::Range(RangeRequest { key: key.clone(), ..RangeRequest::default() });
        let answer = self.write_txn(only_if(&key, 0, put, Some(get))).await?;
        if answer.succeeded {
            return Ok(Place { key, revision: answer.revision, lease, value: None });
        }
        let found = answer.responses.into_iter().next().and_then(|one| match one.response {
            Some(Response::Range(range)) => range.kvs.into_iter().next(),
            _ => None,
        });
        let found = found.ok_or_else(errors::unexpected)?;
        Ok(Place { key, revision: found.create_revision, lease, value: Some(found.value) })
    }

    async fn session(&self) -> Result<i64, Status> {
        let id = rand::random_range(1..=i64::MAX);
        match self.write(Operation::LeaseGrant(LeaseGrantRequest { id, ttl: SESSION_TTL })).await? {
            (_, Answer::LeaseGrant(LeaseResponse { id, .. })) => Ok(id),
            _ => Err(errors::unexpected()),
        }
    }

    /// Waits for the turn and returns its revision. A client that disconnects before loses its place.
    pub(super) async fn wait_until_first(&self, queue: &Queue, place: &Place) -> Result<i64, Status> {
        let mut give_up = GiveUp { service: self, place: Some(place) };
        // From here on this node has applied all earlier places.
        self.barrier().await?;
        let mut revisions = self.node.raft().store().revisions();
        let mut awaited: Option<KeyValue> = None;
        loop {
            revisions.borrow_and_update();
            if !self.view(|view| place.stands(view)) {
                give_up.place = None;
                return Err(errors::session_expired());
            }
            let still = |view: View<'_>| awaited.as_ref().is_some_and(|kv| is_there(view, &kv.key, kv.create_revision));
            if !self.view(still) {
                awaited = self.view(|view| queue.before(view, place)).map_err(errors::of_read)?;
                if awaited.is_none() {
                    break;
                }
            }
            revisions.changed().await.map_err(|_| errors::stopped())?;
        }
        // Earlier places do not return; but this client's own key may have expired meanwhile, with its lease.
        self.barrier().await?;
        let (stands, revision) = self.view(|view| (place.stands(view), view.revision()));
        give_up.place = None;
        if stands { Ok(revision) } else { Err(errors::session_expired()) }
    }
}

// === impl GiveUp ===

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let (service, key, revision) = (self.service.clone(), place.key.clone(), place.revision);
        tokio::spawn(async move {
            // If this fails, the end of the lease removes the key.
            if let Err(status) = service.write_txn(only_if(&key, revision, deletion(&key), None)).await {
                tracing::debug!(error = status.message(), "could not remove a disconnected client from the queue");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::Command;
    use disco_store::{Scope, Store};

    use super::*;

    fn put(store: &mut Store, key: &Bytes) -> i64 {
        let put = PutRequest { key: key.clone(), value: "v".into(), ..PutRequest::default() };
        store.apply(1, &Command { operation: Some(Operation::Put(put)), ..Command::default() }).response.revision
    }

    fn delete(store: &mut Store, key: &Bytes) {
        let delete = DeleteRangeRequest { key: key.clone(), ..DeleteRangeRequest::default() };
        store.apply(1, &Command { operation: Some(Operation::DeleteRange(delete)), ..Command::default() });
    }

    #[test]
    fn the_queue_has_the_order_of_creation() {
        let (queue, other) = (Queue::new(b"q"), Queue::new(b"q/z"));
        assert_eq!(queue.key(-1), Bytes::from("q/ffffffffffffffff"));
        let mut store = Store::default();
        // Ordered by name, they are reversed.
        let (first, second) = (queue.key(9), queue.key(1));
        put(&mut store, &first);
        put(&mut store, &Bytes::from("q0"));
        let revision = put(&mut store, &second);
        let place = Place { key: second.clone(), revision, lease: 1, value: None };
        // A new value does not change the place.
        put(&mut store, &first);
        put(&mut store, &second);
        let key = |found: Result<Option<KeyValue>, ReadError>| found.unwrap().map(|kv| kv.key);
        assert_eq!(key(queue.first(store.view(Scope::Users), 0)), Some(first.clone()));
        assert_eq!(key(queue.before(store.view(Scope::Users), &place)), Some(first.clone()));
        assert_eq!(key(other.first(store.view(Scope::Users), 0)), None);
        let before = store.revision();
        delete(&mut store, &first);
        assert_eq!(key(queue.before(store.view(Scope::Users), &place)), None);
        assert_eq!(key(queue.first(store.view(Scope::Users), 0)), Some(second.clone()));
        assert_eq!(key(queue.first(store.view(Scope::Users), before)), Some(first.clone()));
        // Recreated, it is last.
        put(&mut store, &first);
        assert_eq!(key(queue.before(store.view(Scope::Users), &place)), None);
        assert!(place.stands(store.view(Scope::Users)));
        delete(&mut store, &second);
        put(&mut store, &second);
        assert!(!place.stands(store.view(Scope::Users)));
    }
}
