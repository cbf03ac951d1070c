//! All records of one kind, decoded once for each change of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use disco_proto::v1::KeyValue;
use disco_store::{Store, prefix_range};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::write::Change;
use crate::records::{
    CapacityRecord, DeploymentRecord, GroupRecord, JobRecord, JobRunRecord, NodeRecord, ServiceRecord, StackRecord,
    TaskRecord, TaskStateRecord, ValueKind, ValueRecord, ValueVersionRecord, decode, keys,
};

/// A record that is one of many under a prefix.
pub trait Record: Clone + PartialEq + Serialize + DeserializeOwned {
    /// What distinguishes it from the others.
    type Id: Clone + Ord;
    /// The prefix of all keys.
    const PREFIX: &'static str;

    /// The id of the record with that key.
    fn id(key: &[u8]) -> Option<Self::Id>;

    /// The key of the record with that id.
    fn key(id: &Self::Id) -> String;
}

/// The records of one kind.
#[derive(Clone)]
pub struct Table<R: Record> {
    rows: BTreeMap<R::Id, Row<R>>,
    /// Those that exist and cannot be read: what belongs to them stays.
    unreadable: BTreeSet<R::Id>,
}

#[derive(Clone)]
struct Row<R> {
    value: Arc<R>,
    /// Of the last change in the store; 0: it is not there.
    revision: i64,
    /// It is written although it has not changed.
    is_confirmed: bool,
}

// === impl Table ===

impl<R: Record> Default for Table<R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), unreadable: BTreeSet::new() }
    }
}

impl<R: Record> Table<R> {
    /// Reads all records. Those that have not changed since `before` are taken from there. An unreadable one does not hide the
    /// others.
    #[must_use]
    pub fn read(store: &Store, before: &Self) -> Self {
        // A range at the newest revision can always be answered.
        let pairs = store.range(&prefix_range(R::PREFIX)).map(|response| response.kvs).unwrap_or_default();
        let mut table = Self::default();
        for kv in &pairs {
            let Some(id) = R::id(&kv.key) else { continue };
            let row = match before.rows.get(&id) {
                Some(row) if row.revision == kv.mod_revision => Some(row.clone()),
                _ => Self::decode(kv),
            };
            match row {
                Some(row) => drop(table.rows.insert(id, row)),
                None => drop(table.unreadable.insert(id)),
            }
        }
        table
    }

    fn decode(kv: &KeyValue) -> Option<Row<R>> {
        let found =
            decode::<R>(kv).inspect_err(|error| tracing::error!(%error, "skipped an unreadable record")).ok()?;
        Some(Row { value: Arc::new(found.value), revision: found.revision, is_confirmed: false })
    }

    /// The record with that id.
    #[must_use]
    pub fn get(&self, id: &R::Id) -> Option<&R> {
        self.rows.get(id).map(|row| row.value.as_ref())
    }

    /// Whether there is such a record, readable or not.
    #[must_use]
    pub fn exists(&self, id: &R::Id) -> bool {
        self.rows.contains_key(id) || self.unreadable.contains(id)
    }

    /// The ids of records that cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> &BTreeSet<R::Id> {
        &self.unreadable
    }

    /// All ids, also of those that cannot be read.
    pub fn ids(&self) -> impl Iterator<Item = R::Id> {
        self.rows.keys().chain(&self.unreadable).cloned()
    }

    /// The greatest id.
    #[must_use]
    pub fn last_id(&self) -> Option<&R::Id> {
        self.rows.keys().next_back().max(self.unreadable.last())
    }

    /// The record with that id, shared.
    #[must_use]
    pub fn shared(&self, id: &R::Id) -> Option<Arc<R>> {
        self.rows.get(id).map(|row| Arc::clone(&row.value))
    }

    /// All records, in the order of their ids.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&R::Id, &R)> {
        self.rows.iter().map(|(id, row)| (id, row.value.as_ref()))
    }

    /// All records, in the order of their ids.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &R> {
        self.rows.values().map(|row| row.value.as_ref())
    }

    /// The records between two ids, both included, in their order.
    pub fn between(&self, first: R::Id, last: R::Id) -> impl DoubleEndedIterator<Item = &R> {
        self.rows.range(first..=last).map(|(_, row)| row.value.as_ref())
    }

    /// Puts a record in the place of the one with that id.
    pub fn put(&mut self, id: R::Id, record: R) {
        let revision = self.rows.get(&id).map_or(0, |row| row.revision);
        self.rows.insert(id, Row { value: Arc::new(record), revision, is_confirmed: false });
    }

    /// Changes the record with that id, if it exists.
    pub fn change(&mut self, id: &R::Id, change: impl FnOnce(&mut R)) {
        if let Some(row) = self.rows.get_mut(id) {
            change(Arc::make_mut(&mut row.value));
        }
    }

    /// Makes a change depend on the record with that id: if it has changed meanwhile, nothing is written. A writer that has read it
    /// before cannot write it any more either.
    pub fn confirm(&mut self, id: &R::Id) {
        if let Some(row) = self.rows.get_mut(id) {
            row.is_confirmed = true;
        }
    }

    /// Removes the record with that id.
    pub fn remove(&mut self, id: &R::Id) {
        self.rows.remove(id);
    }

    /// Adds what has to be written to come from `before` to this.
    pub(super) fn changes_since(&self, before: &Self, changes: &mut Vec<Change>) {
        for (id, row) in &self.rows {
            let old = before.rows.get(id);
            if row.is_confirmed || old.is_none_or(|old| !Arc::ptr_eq(&old.value, &row.value) && old.value != row.value)
            {
                let revision = Some(old.map_or(0, |old| old.revision));
                changes.push(Change { key: R::key(id), revision, value: Some(json(row.value.as_ref())) });
            }
        }
        for (id, row) in before.rows.iter().filter(|(id, _)| !self.rows.contains_key(id)) {
            changes.push(Change { key: R::key(id), revision: Some(row.revision), value: None });
        }
    }
}

/// Records are plain data with text keys, which always have a JSON form.
pub(super) fn json<T: Serialize>(record: &T) -> Bytes {
    serde_json::to_vec(record).unwrap_or_else(|error| unreachable!("a record has no JSON form: {error}")).into()
}

// === impl Record ===

impl Record for StackRecord {
    type Id = String;
    const PREFIX: &'static str = keys::STACKS;

    fn id(key: &[u8]) -> Option<String> {
        text::<Self>(key).map(str::to_owned)
    }

    fn key(id: &String) -> String {
        keys::stack(id)
    }
}

/// A service by its stack and its name.
pub type ServiceId = (String, String);

impl Record for ServiceRecord {
    type Id = ServiceId;
    const PREFIX: &'static str = keys::SERVICES;

    fn id(key: &[u8]) -> Option<ServiceId> {
        let (stack, name) = text::<Self>(key)?.split_once('/')?;
        Some((stack.to_owned(), name.to_owned()))
    }

    fn key((stack, name): &ServiceId) -> String {
        keys::service(stack, name)
    }
}

impl Record for JobRecord {
    type Id = ServiceId;
    const PREFIX: &'static str = keys::JOBS;

    fn id(key: &[u8]) -> Option<ServiceId> {
        let (stack, name) = text::<Self>(key)?.split_once('/')?;
        Some((stack.to_owned(), name.to_owned()))
    }

    fn key((stack, name): &ServiceId) -> String {
        keys::job(stack, name)
    }
}

/// A run by its stack, its job and its number.
pub type RunId = (String, String, u64);

impl Record for JobRunRecord {
    type Id = RunId;
    const PREFIX: &'static str = keys::JOB_RUNS;

    fn id(key: &[u8]) -> Option<RunId> {
        let (stack, rest) = text::<Self>(key)?.split_once('/')?;
        let (job, number) = rest.split_once('/')?;
        Some((stack.to_owned(), job.to_owned(), number.parse().ok()?))
    }

    fn key((stack, job, number): &RunId) -> String {
        keys::job_run(stack, job, *number)
    }
}

/// A secret or config by its kind and its name.
pub type ValueId = (ValueKind, String);

impl Record for ValueRecord {
    type Id = ValueId;
    const PREFIX: &'static str = keys::VALUES;

    fn id(key: &[u8]) -> Option<ValueId> {
        let (kind, name) = text::<Self>(key)?.split_once('/')?;
        let kind = [ValueKind::Secret, ValueKind::Config].into_iter().find(|known| known.word() == kind)?;
        Some((kind, name.to_owned()))
    }

    fn key((kind, name): &ValueId) -> String {
        keys::value(*kind, name)
    }
}

/// The key behind the prefix.
fn text<R: Record>(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(R::PREFIX.as_bytes())?).ok()
}

/// A record whose key ends with a number.
macro_rules! numbered {
    ($record:ty, $prefix:ident, $key:ident) => {
        impl Record for $record {
            type Id = u64;
            const PREFIX: &'static str = keys::$prefix;

            fn id(key: &[u8]) -> Option<u64> {
                keys::number(Self::PREFIX, key)
            }

            fn key(id: &u64) -> String {
                keys::$key(*id)
            }
        }
    };
}

numbered!(GroupRecord, GROUPS, group);
numbered!(TaskRecord, TASKS, task);
numbered!(TaskStateRecord, TASK_STATES, task_state);
numbered!(DeploymentRecord, DEPLOYMENTS, deployment);
numbered!(CapacityRecord, CAPACITIES, capacity);
numbered!(NodeRecord, NODES, node);
numbered!(ValueVersionRecord, VALUE_VERSIONS, value_version);
