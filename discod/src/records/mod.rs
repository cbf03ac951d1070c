//! The daemon's records in the store, and how they are read and written.
//!
//! A record is JSON under `/disco/`, so every client can read it. Fields are added, never renamed; a version ignores
//! fields that it does not know.

mod access;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;

use disco_proto::v1::RangeRequest;
use disco_store::typed::{self, RecordError};
use disco_store::{Store, prefix_range};
use serde::de::DeserializeOwned;

use crate::node::Node;

use access::Written;
#[cfg(test)]
pub use access::fake::FakeRecords;
pub use access::{Records, change};
pub use disco_store::typed::{
    CapacityRecord, Copies, DependencySpec, DeploymentRecord, DeploymentState, EndingKind, EndingRecord, EndsRecord,
    EventRecord, Goal, GroupRecord, HealthRecord, JobRecord, JobRunRecord, JobRunState, JobSpec, JoinRecord,
    MachineRecord, NodeRecord, OverlapSpec, PortSpec, ProviderRecord, RELEASES, ReleaseRecord, ReleasedService,
    ResourceSpec, RestartCondition, RolloutRecord, SealedValue, SecretsKeyRecord, ServiceRecord, ServiceSpec, Settled,
    Severity, SigningRecord, SkippedRecord, StackRecord, TaskPort, TaskRecord, TaskRun, TaskState, TaskStateRecord,
    TokenRecord, Txn, UpgradeRecord, VALUE_BYTES, ValueKind, ValuePlace, ValueRecord, ValueUse, ValueVersionRecord,
    Versioned, decode, events, keys, machine_state, succeeded,
};

/// A record, if it exists and can be read.
#[must_use]
pub fn get<T: DeserializeOwned>(store: &Store, key: &str) -> Option<Versioned<T>> {
    typed::get(store, key).unwrap_or_else(|error| {
        unreadable(&error);
        None
    })
}

/// All readable records whose keys start with the prefix, in order of their keys.
#[must_use]
pub fn list<T: DeserializeOwned>(store: &Store, prefix: &str) -> Vec<Versioned<T>> {
    let records = typed::list(store, prefix).into_iter();
    records.filter_map(|record| record.inspect_err(unreadable).ok()).collect()
}

fn unreadable(error: &RecordError) {
    tracing::error!(error = %format_args!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default()));
}

/// A node's record.
#[must_use]
pub fn node(store: &Store, id: u64) -> Option<NodeRecord> {
    get(store, &keys::node(id)).map(|record| record.value)
}

/// All nodes' records.
#[must_use]
pub fn nodes(store: &Store) -> Vec<NodeRecord> {
    list(store, keys::NODES).into_iter().map(|record| record.value).collect()
}

/// All machines' records.
#[must_use]
pub fn machines(store: &Store) -> Vec<MachineRecord> {
    list(store, keys::MACHINES).into_iter().map(|record| record.value).collect()
}

/// A node's health, if its hook has reported it.
#[must_use]
pub fn health(store: &Store, id: u64) -> Option<HealthRecord> {
    get(store, &keys::health(id)).map(|record| record.value)
}

/// Ids of the nodes that have a health record.
#[must_use]
pub fn nodes_with_health(store: &Store) -> Vec<u64> {
    ids(store, keys::HEALTH)
}

/// Ids of the nodes that have a record under the prefix.
fn ids(store: &Store, prefix: &str) -> Vec<u64> {
    let request = RangeRequest { keys_only: true, ..prefix_range(prefix) };
    let pairs = store.range(&request).map(|response| response.kvs).unwrap_or_default();
    pairs.iter().filter_map(|kv| keys::number(prefix, &kv.key)).collect()
}

/// Ids of the nodes that were reported as unhealthy.
#[must_use]
pub fn troubled(store: &Store) -> BTreeSet<u64> {
    ids(store, keys::TROUBLES).into_iter().collect()
}

/// The recorded ends of nodes' daemons, by node.
#[must_use]
pub fn told_ends(store: &Store) -> BTreeMap<u64, EndsRecord> {
    let reported = ids(store, keys::ENDS).into_iter();
    reported.map(|id| (id, get(store, &keys::ends(id)).map_or_else(Default::default, |record| record.value))).collect()
}

/// Id of the last event, 0 if none exists.
#[must_use]
pub fn last_event(store: &Store) -> u64 {
    get::<u64>(store, keys::NEXT_EVENT).map_or(0, |next| next.value - 1)
}

/// The events after that id, oldest first.
#[must_use]
pub fn events_after(store: &Store, id: u64, limit: usize) -> Vec<EventRecord> {
    let request = RangeRequest {
        key: keys::event(id + 1).into(),
        limit: i64::try_from(limit).unwrap_or(i64::MAX),
        ..prefix_range(keys::EVENTS)
    };
    let kvs = store.range(&request).map(|response| response.kvs).unwrap_or_default();
    kvs.iter().filter_map(|kv| typed::decode(kv).inspect_err(unreadable).ok()).map(|event| event.value).collect()
}

/// The target number of nodes, if one was set.
#[must_use]
pub fn desired_nodes(store: &Store) -> Option<u32> {
    get(store, keys::DESIRED_NODES).map(|record| record.value)
}

/// The number of nodes that the script's bootstrap requested last.
#[must_use]
pub fn script_nodes(store: &Store) -> Option<u32> {
    get(store, keys::SCRIPT_NODES).map(|record| record.value)
}

/// Machines that are ending.
#[must_use]
pub fn ending(store: &Store) -> Vec<MachineRecord> {
    machines(store).into_iter().filter(|machine| machine.state == machine_state::TERMINATING).collect()
}

/// The id of the next node without a reservation, and the revision of this record.
#[must_use]
pub fn next_node_id(store: &Store) -> (u64, i64) {
    // The first node is 1.
    get::<u64>(store, keys::NEXT_NODE_ID).map_or((2, 0), |next| (next.value, next.revision))
}

/// The number of the next machine that the cluster starts, which is also its node's id; and the revision of its record.
#[must_use]
pub fn next_machine(store: &Store) -> (u64, i64) {
    let (number, revision) = get::<u64>(store, keys::NEXT_MACHINE).map_or((0, 0), |next| (next.value, next.revision));
    (number.max(next_node_id(store).0), revision)
}

/// Hash of the script version in use.
#[must_use]
pub fn current_script(store: &Store) -> Option<String> {
    let record = get::<serde_json::Value>(store, keys::SCRIPT)?;
    record.value.get("hash").and_then(|hash| hash.as_str()).map(str::to_owned)
}

/// The format of the cluster's data.
#[must_use]
pub fn format(store: &Store) -> u32 {
    disco_proto::format::told(get(store, keys::FORMAT).map_or(0, |record| record.value))
}

/// The record of the signing key.
#[must_use]
pub fn signing(store: &Store) -> Option<Versioned<SigningRecord>> {
    get(store, keys::SIGNING)
}

/// Whether a voter that has left knew the signing key.
#[must_use]
pub fn signing_key_is_stale(store: &Store) -> bool {
    signing(store).is_some_and(|record| record.value.stale)
}

/// Changes the record of the signing key, unless it is already correct.
///
/// # Errors
/// The record was not written.
pub async fn change_signing(node: &Node, change: impl Fn(&mut SigningRecord)) -> Result<(), crate::node::WriteError> {
    loop {
        let now = node.raft().store().read(signing);
        let (old, revision) = now.map_or_else(Default::default, |now| (now.value, now.revision));
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return Ok(());
        }
        let txn = Txn::new().expect(keys::SIGNING, revision).put(keys::SIGNING, &new);
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
        return Err(format!("invalid name `{name}`: expected at most 63 letters, digits, `-` and `.`"));
    }
    Ok(())
}

/// The display name of a node.
#[must_use]
pub fn node_name(on: &Node, id: u64) -> String {
    on.name_of(id)
}

/// Writes an event. A failure is only logged, since the event has happened.
pub async fn emit(node: &Node, kind: &str, severity: Severity, about: Option<u64>, message: String) {
    emit_with(node, 0, kind, severity, about, message, None).await;
}

/// Like `emit`, unless the leader's term has ended.
pub async fn emit_in_term(records: &impl Records, kind: &str, severity: Severity, about: Option<u64>, message: String) {
    emit_event(records, &event(kind, severity, about, message)).await;
}

/// Attempts of the transaction while other events are written.
const CONFLICTS: usize = 32;

/// Writes an event with structured data.
pub async fn emit_with(
    node: &Node,
    term: u64,
    kind: &str,
    severity: Severity,
    about: Option<u64>,
    message: String,
    data: Option<serde_json::Value>,
) {
    let event = EventRecord { data, ..event(kind, severity, about, message) };
    emit_event(&Written { node, term }, &event).await;
}

async fn emit_event(records: &impl Records, event: &EventRecord) {
    log_event(event);
    if let Err(why) = write_along(records, event, Txn::new()).await {
        tracing::warn!(kind = event.kind, "could not record an event: {why}");
    }
}

/// A new event, without number and time.
#[must_use]
pub fn event(kind: &str, severity: Severity, about: Option<u64>, message: String) -> EventRecord {
    EventRecord { id: 0, time: String::new(), kind: kind.to_owned(), severity, node: about, message, data: None }
}

/// Logs an event on this node.
pub fn log_event(event: &EventRecord) {
    let EventRecord { kind, message, node: about, .. } = event;
    match event.severity {
        Severity::Info => tracing::info!(kind, node = about, "{message}"),
        Severity::Warning => tracing::warn!(kind, node = about, "{message}"),
        Severity::Error => tracing::error!(kind, node = about, "{message}"),
    }
}

/// Writes the event and the changes of `txn` in one transaction, unless this node no longer leads in the given term (0:
/// any term).
///
/// # Errors
/// Why neither was written, or that the outcome is unknown.
pub async fn record_along(node: &Node, term: u64, event: &EventRecord, txn: Txn) -> Result<(), String> {
    write_along(&Written { node, term }, event, txn).await
}

async fn write_along(records: &impl Records, event: &EventRecord, txn: Txn) -> Result<(), String> {
    for _ in 0..CONFLICTS {
        let numbered = |id| EventRecord { id, time: crate::clock::rfc3339(), ..event.clone() };
        let txn = records.read(|store| events::append(store, txn.clone(), numbered));
        let txn = txn.inspect_err(unreadable).map_err(|error| error.to_string())?;
        match records.write(txn.operation()).await {
            Ok(response) if succeeded(&response) => return Ok(()),
            // A follower's state may lag; it catches up during this pause.
            Ok(_) => tokio::time::sleep(records.lag()).await,
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("too many concurrent changes".to_owned())
}
