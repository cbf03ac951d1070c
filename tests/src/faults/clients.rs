use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use disco_proto::v1::compare::{Result as Is, Target};
use disco_proto::v1::control_client::ControlClient;
use disco_proto::v1::request_op::Request as Request_;
use disco_proto::v1::{
    Command, CommandResponse, Compare, ProposeRequest, PutRequest, RangeRequest, ReadRequest, RequestOp, TxnRequest,
    command, command_response,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tonic::Code;
use tonic::transport::Channel;

use super::history::{Event, History, Op};
use crate::Api;

/// Keys that all clients share at any time. Few, so that operations conflict; clients move on to the next key before a history
/// becomes so long that checking it is slow.
const KEYS: u64 = 5;
const OPERATIONS_ON_A_KEY: u64 = 150;
/// Time limit of one attempt at one node.
const TRY: Duration = Duration::from_millis(700);
/// The time after which a client gives up with an unknown outcome. Much less than the time for which answers are retained, even on a fast cluster.
const PATIENCE: Duration = Duration::from_secs(6);
/// Pause between two operations of one client: the test is about faults, not load.
const PAUSE: Duration = Duration::from_millis(4);
/// Pause before the next node is tried, if one did not accept a write.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// State shared by the clients.
pub(super) struct Shared {
    pub(super) api: Api,
    pub(super) history: History,
    /// The present addresses of the nodes.
    pub(super) addresses: RwLock<Vec<String>>,
    pub(super) stop: AtomicBool,
    operations: AtomicU64,
    values: AtomicU64,
}

/// The outcome of a write.
enum Written {
    Done(CommandResponse),
    /// Refused before anything was done.
    Refused,
    Unknown,
}

impl Shared {
    #[must_use]
    pub(super) fn new(api: Api) -> Arc<Self> {
        let (stop, operations, values) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(1));
        Arc::new(Self { api, history: History::new(), addresses: RwLock::default(), stop, operations, values })
    }

    fn key(&self) -> String {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        format!("register/{}/{}", number / (KEYS * OPERATIONS_ON_A_KEY), number % KEYS)
    }

    fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }
}

/// Runs until it is stopped.
pub(super) async fn run(shared: Arc<Shared>, seed: u64) {
    let mut client = Client { random: StdRng::seed_from_u64(seed), connections: Vec::new(), shared };
    while !client.shared.stop.load(Ordering::Relaxed) {
        client.work().await;
        tokio::time::sleep(PAUSE).await;
    }
}

struct Client {
    shared: Arc<Shared>,
    random: StdRng,
    connections: Vec<(String, ControlClient<Channel>)>,
}

impl Client {
    async fn work(&mut self) {
        let key = self.shared.key();
        match self.random.random_range(0..10) {
            0..4 => self.put(key).await,
            4..6 => self.swap(key).await,
            _ => {
                self.get(key).await;
            }
        }
    }

    async fn put(&mut self, key: String) {
        let value = self.shared.value();
        let request = PutRequest { key: key.clone().into(), value: text(value), ..PutRequest::default() };
        let called = self.shared.history.now();
        let written = self.write(command::Operation::Put(request)).await;
        self.record(key, Op::Put { value }, called, written, |_| Op::Put { value });
    }

    /// Reads a value, and replaces it.
    async fn swap(&mut self, key: String) {
        let Some(from) = self.get(key.clone()).await else { return };
        let to = self.shared.value();
        let target = match from {
            Some(value) => Target::Value(text(value)),
            None => Target::CreateRevision(0),
        };
        let compare =
            Compare { result: Is::Equal.into(), key: key.clone().into(), target: Some(target), ..Compare::default() };
        let put = PutRequest { key: key.clone().into(), value: text(to), ..PutRequest::default() };
        let success = vec![RequestOp { request: Some(Request_::Put(put)) }];
        let txn = TxnRequest { compare: vec![compare], success, failure: Vec::new() };
        let called = self.shared.history.now();
        let written = self.write(command::Operation::Txn(txn)).await;
        self.record(key, Op::Swap { from, to, done: None }, called, written, |response| {
            let Some(command_response::Result::Txn(txn)) = &response.result else {
                panic!("no answer of a transaction: {response:?}")
            };
            Op::Swap { from, to, done: Some(txn.succeeded) }
        });
    }

    fn record(
        &self,
        key: String,
        unknown: Op,
        called: Duration,
        written: Written,
        known: impl Fn(&CommandResponse) -> Op,
    ) {
        let returned = Some(self.shared.history.now());
        let event = match written {
            Written::Done(response) => {
                Event { key, op: known(&response), called, returned, revision: Some(response.revision) }
            }
            Written::Unknown => Event { key, op: unknown, called, returned: None, revision: None },
            Written::Refused => return,
        };
        self.shared.history.record(event);
    }

    /// The present value; the outer `None` if no node answered.
    async fn get(&mut self, key: String) -> Option<Option<u64>> {
        let called = self.shared.history.now();
        let range = RangeRequest { key: key.clone().into(), ..RangeRequest::default() };
        let mut control = self.random_node();
        let request = ReadRequest { range: Some(range), stale: false };
        let answer = tokio::time::timeout(TRY, control.range(request)).await.ok()?.ok()?.into_inner();
        let found = answer.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).parse().expect("a value of ours"));
        let returned = Some(self.shared.history.now());
        self.shared.history.record(Event {
            key,
            op: Op::Get { found },
            called,
            returned,
            revision: Some(answer.revision),
        });
        Some(found)
    }

    /// Tries one node after the other with the same request id.
    async fn write(&mut self, operation: command::Operation) -> Written {
        let command = Command { ..Api::command(operation) };
        let start = Instant::now();
        let mut asked = false;
        while start.elapsed() < PATIENCE {
            let request = ProposeRequest { command: Some(command.clone()), ..ProposeRequest::default() };
            match tokio::time::timeout(TRY, self.random_node().propose(request)).await {
                Ok(Ok(answer)) => match answer.into_inner().response {
                    Some(response) if matches!(response.result, Some(command_response::Result::Error(_))) => {
                        panic!("refused: {response:?}")
                    }
                    Some(response) => return Written::Done(response),
                    None => panic!("an answer without a response"),
                },
                // A full disk: nothing was done, unless an earlier attempt is still in progress.
                Ok(Err(status)) if status.code() == Code::ResourceExhausted && !asked => return Written::Refused,
                Ok(Err(status)) if status.code() == Code::ResourceExhausted => {}
                Ok(Err(_)) | Err(_) => asked = true,
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        Written::Unknown
    }

    /// A connection to one of the nodes.
    fn random_node(&mut self) -> ControlClient<Channel> {
        let addresses = self.shared.addresses.read().unwrap().clone();
        let address = addresses.choose(&mut self.random).expect("there are nodes").clone();
        self.connections.retain(|(known, _)| addresses.contains(known));
        if let Some((_, control)) = self.connections.iter().find(|(known, _)| *known == address) {
            return control.clone();
        }
        let control = self.shared.api.control(&address);
        self.connections.push((address, control.clone()));
        control
    }
}

fn text(value: u64) -> bytes::Bytes {
    value.to_string().into()
}
