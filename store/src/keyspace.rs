//! All keys in order, and their cost.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use crate::{
    KeyRange,
    history::{History, Version},
};

/// The cost of a key beyond its own bytes: its entry in the map and the first version, with the allocator's share. An
/// estimate, but the same on every node.
const KEY_OVERHEAD_BYTES: u64 = 160;
/// The cost of a version beyond its value: itself and its entry in the log of changes.
const VERSION_OVERHEAD_BYTES: u64 = 80;

/// Keys with their histories. `total_bytes` is the sum over all versions, `live_bytes` that of the newest versions of
/// existing keys.
#[derive(Clone, Default)]
pub(crate) struct Keyspace {
    keys: BTreeMap<Arc<[u8]>, History>,
    total_bytes: u64,
    live_bytes: u64,
}

/// The cost of a key without its versions.
fn key_bytes(key: &[u8]) -> u64 {
    KEY_OVERHEAD_BYTES + key.len() as u64
}

/// The cost of a version with a value of that length.
fn version_bytes(value_len: usize) -> u64 {
    VERSION_OVERHEAD_BYTES + value_len as u64
}

impl Keyspace {
    /// Number of keys, including deleted ones with retained history.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &History)> {
        self.keys.iter()
    }

    pub(crate) fn history(&self, key: &[u8]) -> Option<(&Arc<[u8]>, &History)> {
        self.keys.get_key_value(key)
    }

    /// The current state of the key, if it exists.
    pub(crate) fn alive(&self, key: &[u8]) -> Option<(&Arc<[u8]>, &Version)> {
        let (key, history) = self.keys.get_key_value(key)?;
        history.latest().is_alive().then_some((key, history.latest()))
    }

    /// The keys of the range with their histories, in order.
    fn of(&self, range: KeyRange<'_>) -> impl Iterator<Item = (&Arc<[u8]>, &History)> {
        range.parts().flat_map(|part| self.keys.range::<[u8], _>(part))
    }

    /// The keys of the range that exist now, in order.
    pub(crate) fn range(&self, range: KeyRange<'_>) -> impl Iterator<Item = (&Arc<[u8]>, &Version)> {
        self.of(range).map(|(key, history)| (key, history.latest())).filter(|(_, version)| version.is_alive())
    }

    /// The keys of the range that existed at that revision, in order.
    pub(crate) fn range_at(&self, range: KeyRange<'_>, revision: i64) -> impl Iterator<Item = (&Arc<[u8]>, &Version)> {
        self.of(range)
            .filter_map(move |(key, history)| Some((key, history.at(revision)?)))
            .filter(|(_, version)| version.is_alive())
    }

    /// The most by which a put can grow [`total_bytes`](Self::total_bytes).
    pub(crate) fn cost_of_new(key: &[u8], value_len: usize) -> u64 {
        version_bytes(value_len) + key_bytes(key)
    }

    /// By how much a put grows [`total_bytes`](Self::total_bytes).
    pub(crate) fn cost_of_put(&self, key: &[u8], value_len: usize) -> u64 {
        let known = self.keys.contains_key(key);
        version_bytes(value_len) + if known { 0 } else { key_bytes(key) }
    }

    /// Makes `version` the newest of the key, and returns the stored key.
    pub(crate) fn write(&mut self, key: &[u8], version: Version) -> Arc<[u8]> {
        self.total_bytes += version_bytes(version.value_len());
        if version.is_alive() {
            self.live_bytes += key_bytes(key) + version_bytes(version.value_len());
        }
        // A single lookup, which needs an owned key; it is dropped if the key is known.
        match self.keys.entry(Arc::from(key)) {
            Entry::Occupied(mut known) => {
                let latest = known.get().latest();
                if latest.is_alive() {
                    self.live_bytes -= key_bytes(key) + version_bytes(latest.value_len());
                }
                known.get_mut().push(version);
                Arc::clone(known.key())
            }
            Entry::Vacant(new) => {
                self.total_bytes += key_bytes(key);
                let held = Arc::clone(new.key());
                new.insert(History::new(version));
                held
            }
        }
    }

    /// Drops versions of the key that are superseded at `revision`; see [`History::compact`].
    pub(crate) fn compact(&mut self, key: &[u8], revision: i64) {
        let Some(history) = self.keys.get_mut(key) else { return };
        let mut freed = 0;
        if !history.compact(revision, |version| freed += version_bytes(version.value_len())) {
            self.keys.remove(key);
            freed += key_bytes(key);
        }
        self.total_bytes -= freed;
    }
}
