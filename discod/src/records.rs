//! The daemon's records in the store, and how they are read and written.
//!
//! A record is JSON under `/disco/`, so that every client can read it. Fields are added, never renamed; what a version
//! does not know it leaves out of account.

use std::collections::BTreeMap;

use bytes::Bytes;
use disco_proto::v1::command::Operation;
use disco_proto::v1::compare::{Result as Comparison, Target};
use disco_proto::v1::request_op::Request as Op;
use disco_proto::v1::{
    CommandResponse, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, command_response,
};
use disco_store::Store;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::node::Node;

/// Number of nodes that the cluster shall have.
pub const DESIRED_NODES: &str = "/disco/config/desired_nodes";
/// Where machines come from.
pub const PROVIDER: &str = "/disco/config/provider";
/// The operator's public SSH key.
pub const OPERATOR_KEY: &str = "/disco/config/operator_public_key";
/// How machines are started.
pub const INSTANCE_OPTIONS: &str = "/disco/config/instance_options";
/// The next node id; the founder is 1.
pub const NEXT_NODE_ID: &str = "/disco/next_node_id";
/// Number in the name of the next machine that the cluster starts.
pub const NEXT_INSTANCE: &str = "/disco/next_instance";
const NODES: &str = "/disco/nodes/";
const INSTANCES: &str = "/disco/instances/";
const HEALTH: &str = "/disco/health/";
const SIGNING: &str = "/disco/pki/signing";
/// Prefix of [`EventRecord`]s.
pub const EVENTS: &str = "/disco/events/";
const NEXT_EVENT: &str = "/disco/next_event";
/// Events that are kept.
const KEEP_EVENTS: u64 = 1000;

/// A node that was admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeRecord {
    /// Never used twice.
    pub id: u64,
    /// For people; no two nodes share one.
    pub name: String,
    /// `IP:PORT`.
    pub address: String,
    /// The provider's id of its machine, empty where there is none.
    pub instance: String,
    /// Labels of its operator.
    pub labels: BTreeMap<String, String>,
    /// IP addresses besides the one of `address` that its certificate names.
    pub extra_addresses: Vec<String>,
    /// Version when it joined.
    pub version: String,
    /// RFC 3339.
    pub joined_at: String,
}

/// The node that a join id was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRecord {
    /// Id.
    pub node_id: u64,
}

/// A join token that may still be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its name.
    pub id: String,
    /// RFC 3339; its certificate ends then too.
    pub expires_at: String,
    /// Nodes that may still join by it.
    pub uses_left: u32,
}

/// Where machines come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderSpec {
    /// `local`, `hosts` or `aws`.
    pub kind: String,
    /// As the script gave them.
    #[serde(default)]
    pub options: serde_json::Value,
}

/// A machine that the cluster started, or is about to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceRecord {
    /// Makes its start happen at most once; also the record's key.
    pub token: String,
    /// The provider's id, empty until it is started.
    pub id: String,
    /// For people.
    pub name: String,
    /// `IP:PORT` where its daemon serves.
    pub address: String,
    /// `starting`, `installing`, `joined` or `terminating`.
    pub state: String,
    /// The last failure, empty for none.
    pub error: String,
    /// RFC 3339.
    pub created_at: String,
    /// The same in milliseconds since 1970.
    pub created_ms: i64,
    /// The node that it has become.
    pub node: Option<u64>,
}

/// What a node's health hook last said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRecord {
    /// The verdict.
    pub healthy: bool,
    /// Why not.
    #[serde(default)]
    pub reason: String,
    /// When it changed to this, RFC 3339.
    #[serde(default)]
    pub at: String,
}

/// The signing key in use, and those before it. Serials are those of the keys' certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SigningRecord {
    /// In use.
    pub serial: String,
    /// Not used any more, but nodes may still have certificates made with them.
    pub retiring: Vec<String>,
    /// Refused everywhere.
    pub retired: Vec<String>,
    /// A voter that has left knew the one in use.
    pub stale: bool,
}

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
    /// Ascending without gaps.
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

/// A record with the revision of its last change.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// What is there.
    pub value: T,
    /// Its `mod_revision`, for comparing in a transaction.
    pub revision: i64,
}

/// A transaction under way.
#[derive(Default)]
pub struct Txn {
    txn: TxnRequest,
}

// === impl Txn ===

impl Txn {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if the key was last changed at this revision; 0: only if it is absent.
    #[must_use]
    pub fn expect(mut self, key: &str, revision: i64) -> Self {
        self.txn.compare.push(Compare {
            result: Comparison::Equal.into(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            target: Some(Target::ModRevision(revision)),
            ..Compare::default()
        });
        self
    }

    /// Writes a record. All records are plain data, which always has a JSON form.
    #[must_use]
    pub fn put<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Self {
        let value =
            serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("a record without a JSON form: {error}"));
        self.put_bytes(key, value.into())
    }

    /// Writes bytes.
    #[must_use]
    pub fn put_bytes(mut self, key: &str, value: Bytes) -> Self {
        let put = PutRequest { key: Bytes::copy_from_slice(key.as_bytes()), value, ..PutRequest::default() };
        self.txn.success.push(RequestOp { request: Some(Op::Put(put)) });
        self
    }

    /// Deletes a record.
    #[must_use]
    pub fn delete(mut self, key: &str) -> Self {
        let delete =
            DeleteRangeRequest { key: Bytes::copy_from_slice(key.as_bytes()), ..DeleteRangeRequest::default() };
        self.txn.success.push(RequestOp { request: Some(Op::DeleteRange(delete)) });
        self
    }

    /// Whether it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.txn.success.is_empty()
    }

    /// For the log.
    #[must_use]
    pub fn operation(self) -> Operation {
        Operation::Txn(self.txn)
    }
}

/// Whether a transaction's comparisons held.
#[must_use]
pub fn succeeded(response: &CommandResponse) -> bool {
    matches!(&response.result, Some(command_response::Result::Txn(txn)) if txn.succeeded)
}

/// A record, if it is there and can be read.
#[must_use]
pub fn get<T: DeserializeOwned>(store: &Store, key: &str) -> Option<Versioned<T>> {
    let request = RangeRequest { key: Bytes::copy_from_slice(key.as_bytes()), ..RangeRequest::default() };
    let kv = store.range(&request).ok()?.kvs.pop()?;
    decode(&kv.key, &kv.value).map(|value| Versioned { value, revision: kv.mod_revision })
}

/// All records whose key starts so, by key.
#[must_use]
pub fn list<T: DeserializeOwned>(store: &Store, prefix: &str) -> Vec<Versioned<T>> {
    let request = RangeRequest {
        key: Bytes::copy_from_slice(prefix.as_bytes()),
        range_end: disco_store::prefix_end(prefix.as_bytes()).into(),
        ..RangeRequest::default()
    };
    let kvs = store.range(&request).map(|response| response.kvs).unwrap_or_default();
    let records = kvs.into_iter();
    records
        .filter_map(|kv| decode(&kv.key, &kv.value).map(|value| Versioned { value, revision: kv.mod_revision }))
        .collect()
}

fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Option<T> {
    match serde_json::from_slice(value) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(key = %String::from_utf8_lossy(key), %error, "a record cannot be read");
            None
        }
    }
}

/// Key of a node's record. Padded, so that the order of keys is that of ids.
#[must_use]
pub fn node_key(id: u64) -> String {
    format!("{NODES}{id}")
}

/// Key of the record of a join id.
#[must_use]
pub fn join_key(join_id: &[u8]) -> String {
    format!("/disco/joins/{}", hex::encode(join_id))
}

/// Key of a token's record.
#[must_use]
pub fn token_key(id: &str) -> String {
    format!("/disco/tokens/{id}")
}

/// Key of a machine's record.
#[must_use]
pub fn instance_key(token: &str) -> String {
    format!("{INSTANCES}{token}")
}

/// Key of a node's health.
#[must_use]
pub fn health_key(id: u64) -> String {
    format!("{HEALTH}{id}")
}

/// A node's record.
#[must_use]
pub fn node(store: &Store, id: u64) -> Option<NodeRecord> {
    get(store, &node_key(id)).map(|record| record.value)
}

/// All nodes' records.
#[must_use]
pub fn nodes(store: &Store) -> Vec<NodeRecord> {
    list(store, NODES).into_iter().map(|record| record.value).collect()
}

/// All machines' records.
#[must_use]
pub fn instances(store: &Store) -> Vec<InstanceRecord> {
    list(store, INSTANCES).into_iter().map(|record| record.value).collect()
}

/// A node's health, where its hook has said something.
#[must_use]
pub fn health(store: &Store, id: u64) -> Option<HealthRecord> {
    get(store, &health_key(id)).map(|record| record.value)
}

/// Ids of the nodes that have a health record.
#[must_use]
pub fn nodes_with_health(store: &Store) -> Vec<u64> {
    let prefix = HEALTH;
    let request = RangeRequest {
        key: Bytes::copy_from_slice(prefix.as_bytes()),
        range_end: disco_store::prefix_end(prefix.as_bytes()).into(),
        keys_only: true,
        ..RangeRequest::default()
    };
    let keys = store.range(&request).map(|response| response.kvs).unwrap_or_default();
    let ids = keys.iter().filter_map(|kv| std::str::from_utf8(&kv.key).ok()?.strip_prefix(prefix)?.parse().ok());
    ids.collect()
}

/// Id of the last event, 0 while there is none.
#[must_use]
pub fn last_event(store: &Store) -> u64 {
    get::<u64>(store, NEXT_EVENT).map_or(0, |next| next.value - 1)
}

/// The events after that id, oldest first.
#[must_use]
pub fn events_after(store: &Store, id: u64, limit: usize) -> Vec<EventRecord> {
    let request = RangeRequest {
        key: event_key(id + 1).into(),
        range_end: disco_store::prefix_end(EVENTS.as_bytes()).into(),
        limit: i64::try_from(limit).unwrap_or(i64::MAX),
        ..RangeRequest::default()
    };
    let kvs = store.range(&request).map(|response| response.kvs).unwrap_or_default();
    kvs.iter().filter_map(|kv| decode(&kv.key, &kv.value)).collect()
}

/// The number of nodes wished, where somebody said one.
#[must_use]
pub fn desired_nodes(store: &Store) -> Option<u32> {
    get(store, DESIRED_NODES).map(|record| record.value)
}

/// Hash of the script version in use.
#[must_use]
pub fn current_script(store: &Store) -> Option<String> {
    let record = get::<serde_json::Value>(store, "/disco/script")?;
    record.value.get("hash").and_then(|hash| hash.as_str()).map(str::to_owned)
}

/// What is known of the signing key.
#[must_use]
pub fn signing(store: &Store) -> Option<Versioned<SigningRecord>> {
    get(store, SIGNING)
}

/// Whether a voter that has left knew the signing key.
#[must_use]
pub fn signing_key_is_stale(store: &Store) -> bool {
    signing(store).is_some_and(|record| record.value.stale)
}

/// Changes what is known of the signing key, unless it is as it should be.
///
/// # Errors
/// It was not written.
pub async fn change_signing(node: &Node, change: impl Fn(&mut SigningRecord)) -> Result<(), crate::node::WriteError> {
    loop {
        let now = node.raft().store().read(signing);
        let (old, revision) = now.map_or_else(Default::default, |now| (now.value, now.revision));
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return Ok(());
        }
        let txn = Txn::new().expect(SIGNING, revision).put(SIGNING, &new);
        if succeeded(&node.write(txn.operation()).await?) {
            return Ok(());
        }
    }
}

/// Whether a text can be a node's name: letters, digits, `-` and `.`, at most 63.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(good) {
        return Err(format!("`{name}` cannot be a name: letters, digits, `-` and `.` are, at most 63 of them"));
    }
    Ok(())
}

/// What to call a node.
#[must_use]
pub fn node_name(on: &Node, id: u64) -> String {
    on.raft().store().read(|store| node(store, id)).map_or_else(|| format!("node {id}"), |record| record.name)
}

/// Writes an event. That it cannot be written is logged: what happened has happened.
pub async fn emit(node: &Node, kind: &str, severity: Severity, about: Option<u64>, message: String) {
    emit_with(node, 0, kind, severity, about, message, None).await;
}

/// The same, unless this node leads no more in the given term.
pub async fn emit_in_term(node: &Node, term: u64, kind: &str, severity: Severity, about: Option<u64>, message: String) {
    emit_with(node, term, kind, severity, about, message, None).await;
}

/// Tries of the transaction while others write events too.
const CONFLICTS: usize = 32;

/// Writes an event with data for machines.
pub async fn emit_with(
    node: &Node,
    term: u64,
    kind: &str,
    severity: Severity,
    about: Option<u64>,
    message: String,
    data: Option<serde_json::Value>,
) {
    tracing::info!(kind, node = about, "{message}");
    for _ in 0..CONFLICTS {
        let next = node.raft().store().read(|store| get::<u64>(store, NEXT_EVENT));
        let (id, revision) = next.map_or((1, 0), |next| (next.value, next.revision));
        let event = EventRecord {
            id,
            time: crate::clock::rfc3339(),
            kind: kind.to_owned(),
            severity,
            node: about,
            message: message.clone(),
            data: data.clone(),
        };
        let mut txn = Txn::new().expect(NEXT_EVENT, revision).put(NEXT_EVENT, &(id + 1)).put(&event_key(id), &event);
        if id > KEEP_EVENTS {
            txn = txn.delete(&event_key(id - KEEP_EVENTS));
        }
        match node.write_in_term(term, txn.operation()).await {
            Ok(response) if succeeded(&response) => return,
            // A follower's view may be behind; it catches up while this waits for the next look.
            Ok(_) => tokio::time::sleep(node.raft().pace().heartbeat() / 4).await,
            Err(error) => return tracing::warn!(kind, %error, "an event was not recorded"),
        }
    }
    tracing::warn!(kind, "an event was not recorded: too many others at once");
}

fn event_key(id: u64) -> String {
    format!("{EVENTS}{id:012}")
}
