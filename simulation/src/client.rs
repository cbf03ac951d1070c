//! Clients: they write and read a few keys, and retry until the outcome is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use disco_consensus::types::Request as ByteString;
use disco_proto::v1::command::Operation as StoreOperation;
use disco_proto::v1::{
    Command, CommandResponse, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    command_response::Result as StoreAnswer, compare, request_op, response_op,
};
use prost::Message;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::doors::{Caller, Doors};
use crate::events::{Event, Observer};
use crate::history::{Operation, Outcome};
use crate::invariants::Violation;
use crate::wire::{Answer, Ask, Line};

/// Time limit of one attempt.
const TRY: Duration = Duration::from_secs(3);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// State shared by all clients of a run.
#[derive(Clone)]
pub struct Shared {
    /// Addresses of all machines.
    pub addresses: Arc<Vec<String>>,
    /// The doors between them and the machines.
    pub doors: Doors,
    /// The observer.
    pub observer: Observer,
    /// When set, clients end after their current operation.
    pub stop: Arc<AtomicBool>,
    /// Clients that have ended.
    pub ended: Arc<AtomicUsize>,
    /// The next id of a process, which does one operation at a time.
    pub processes: Arc<AtomicUsize>,
    /// The next value: each is written once.
    pub values: Arc<AtomicU64>,
    /// Number of keys.
    pub keys: u8,
    /// The longest pause between two operations.
    pub think: Duration,
}

struct Client {
    shared: Shared,
    rng: SmallRng,
    process: usize,
    /// The value that this client last saw for each key.
    seen: Vec<Option<u64>>,
}

/// Runs a client until it is stopped.
pub async fn run(shared: Shared, rng: SmallRng) {
    let process = shared.processes.fetch_add(1, Ordering::Relaxed);
    let seen = vec![None; usize::from(shared.keys)];
    let mut client = Client { shared, rng, process, seen };
    while !client.shared.stop.load(Ordering::Relaxed) {
        let pause = client.rng.random_range(Duration::ZERO..=client.shared.think);
        tokio::time::sleep(pause).await;
        let key = client.rng.random_range(0..client.shared.keys);
        match client.rng.random_range(0..100) {
            0..40 => client.put(key).await,
            40..50 => client.write(key, Operation::Delete).await,
            50..70 => client.swap(key).await,
            70..95 => client.read(key).await,
            _ => client.read_stale(key).await,
        }
    }
    client.shared.ended.fetch_add(1, Ordering::Relaxed);
}

// === impl Client ===

impl Client {
    async fn put(&mut self, key: u8) {
        let value = self.next_value();
        self.write(key, Operation::Put(value)).await;
    }

    async fn swap(&mut self, key: u8) {
        let (expected, value) = (self.seen[usize::from(key)], self.next_value());
        self.write(key, Operation::Swap { expected, value, found: Outcome::Done }).await;
    }

    /// Retries until the outcome is known, or sometimes gives up after an attempt with an unknown outcome.
    async fn write(&mut self, key: u8, operation: Operation) {
        let request_id = Bytes::copy_from_slice(&self.rng.random::<[u8; 16]>());
        let command = Command {
            request_id: request_id.clone(),
            only_in_term: 0,
            proposed_at_ms: 0,
            operation: Some(in_store(key, operation)),
            ..Command::default()
        };
        let ask = Ask::Propose { command: ByteString(command.encode_to_vec().into()), hops: 0 };
        self.call(key, operation, &request_id);
        loop {
            if let Ok(Answer::Proposed(bytes)) = self.try_once(&ask).await {
                self.written(key, operation, request_id, &bytes.0);
                return;
            }
            // The checker of the history would not know the outcome of a swap.
            let may_give_up = matches!(operation, Operation::Put(_) | Operation::Delete);
            if may_give_up && self.rng.random_bool(0.05) {
                self.shared.observer.tell(Event::Abandoned { process: self.process });
                self.process = self.shared.processes.fetch_add(1, Ordering::Relaxed);
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn written(&mut self, key: u8, operation: Operation, request_id: Bytes, bytes: &[u8]) {
        let response = CommandResponse::decode(bytes).unwrap_or_default();
        let operation = match (&response.result, operation) {
            (Some(StoreAnswer::Put(_)), put @ Operation::Put(_)) => put,
            (Some(StoreAnswer::DeleteRange(_)), Operation::Delete) => Operation::Delete,
            (Some(StoreAnswer::Txn(txn)), Operation::Swap { expected, value, .. }) => {
                let found = match txn.responses.first().and_then(|op| op.response.as_ref()) {
                    Some(response_op::Response::Range(range)) => {
                        Outcome::Other(range.kvs.first().and_then(|pair| number(&pair.value)))
                    }
                    _ => Outcome::Done,
                };
                Operation::Swap { expected, value, found }
            }
            (answer, operation) => {
                let seen = format!("{operation:?} was answered {answer:?}");
                self.shared.observer.accuse(Violation { invariant: "clients-are-served", seen });
                return;
            }
        };
        self.seen[usize::from(key)] = match operation {
            Operation::Put(value) | Operation::Swap { value, found: Outcome::Done, .. } => Some(value),
            Operation::Swap { found: Outcome::Other(found), .. } => found,
            Operation::Delete | Operation::Read(_) => None,
        };
        self.answered(key, operation, response.revision, request_id);
    }

    async fn read(&mut self, key: u8) {
        let ask = Ask::Read { key: ByteString(name(key)), stale: false };
        self.call(key, Operation::Read(None), &Bytes::new());
        loop {
            if let Ok(Answer::Read { value, revision, .. }) = self.try_once(&ask).await {
                let value = value.and_then(|value| number(&value.0));
                self.seen[usize::from(key)] = value;
                self.answered(key, Operation::Read(value), revision, Bytes::new());
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn read_stale(&mut self, key: u8) {
        let ask = Ask::Read { key: ByteString(name(key)), stale: true };
        if let Ok(Answer::Read { revision, node, life, .. }) = self.try_once(&ask).await {
            self.shared.observer.tell(Event::ReadStale { process: self.process, node, life, revision });
        }
    }

    async fn try_once(&mut self, ask: &Ask) -> std::io::Result<Answer> {
        let address = self.rng.random_range(0..self.shared.addresses.len());
        let caller = Caller { name: String::new(), doors: self.shared.doors.clone() };
        Line::new(caller, &self.shared.addresses[address]).ask(ask, TRY).await
    }

    fn call(&self, key: u8, operation: Operation, request_id: &Bytes) {
        let request_id = request_id.clone();
        self.shared.observer.tell(Event::Called { process: self.process, key, operation, request_id });
    }

    fn answered(&self, key: u8, operation: Operation, revision: i64, request_id: Bytes) {
        let process = self.process;
        self.shared.observer.tell(Event::Answered { process, key, operation, revision, request_id });
    }

    fn next_value(&self) -> u64 {
        self.shared.values.fetch_add(1, Ordering::Relaxed)
    }
}

fn name(key: u8) -> Bytes {
    format!("/key/{key}").into()
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The operation as a store command.
fn in_store(key: u8, operation: Operation) -> StoreOperation {
    let key = name(key);
    let put = |value: u64| PutRequest { key: key.clone(), value: value.to_string().into(), ..PutRequest::default() };
    let range = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    match operation {
        Operation::Put(value) => StoreOperation::Put(put(value)),
        Operation::Delete => StoreOperation::DeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }),
        Operation::Swap { expected, value, .. } => {
            let target = match expected {
                Some(value) => compare::Target::Value(value.to_string().into()),
                None => compare::Target::Version(0),
            };
            let compare = Compare {
                result: compare::Result::Equal.into(),
                key: key.clone(),
                target: Some(target),
                ..Compare::default()
            };
            let op = |request| vec![RequestOp { request: Some(request) }];
            StoreOperation::Txn(TxnRequest {
                compare: vec![compare],
                success: op(request_op::Request::Put(put(value))),
                failure: op(request_op::Request::Range(range)),
            })
        }
        // Reads are not commands; a transaction that only reads would be one.
        Operation::Read(_) => StoreOperation::Txn(TxnRequest {
            success: vec![RequestOp { request: Some(request_op::Request::Range(range)) }],
            ..TxnRequest::default()
        }),
    }
}
