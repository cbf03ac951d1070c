//! One key: its newest state and the retained older ones.

use std::sync::Arc;

use bytes::Bytes;
use disco_proto::v1::KeyValue;

use crate::shared;

/// The state of a key from one revision on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// Revision of the change that made it.
    pub(crate) mod_revision: i64,
    /// 0 for a deletion, as are `version` and `lease`.
    pub(crate) create_revision: i64,
    pub(crate) version: i64,
    pub(crate) lease: i64,
    /// `None`: the key was deleted.
    pub(crate) value: Option<Arc<[u8]>>,
}

impl Version {
    pub(crate) fn deleted(mod_revision: i64) -> Self {
        Self { mod_revision, create_revision: 0, version: 0, lease: 0, value: None }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.value.is_some()
    }

    pub(crate) fn value_len(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.len())
    }

    /// The key-value pair for clients; for a deletion only the key and the revision.
    pub(crate) fn to_key_value(&self, key: &[u8]) -> KeyValue {
        KeyValue { value: self.value.as_ref().map(shared::to_bytes).unwrap_or_default(), ..self.without_value(key) }
    }

    pub(crate) fn without_value(&self, key: &[u8]) -> KeyValue {
        KeyValue {
            key: Bytes::copy_from_slice(key),
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            value: Bytes::new(),
            lease: self.lease,
        }
    }
}

/// The versions of one key. There is always at least one, revisions increase, and no two deletions follow each other.
///
/// Most keys have only one version, which is therefore stored in the map itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    latest: Version,
    older: Option<Box<Older>>,
}

/// Oldest first, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Older(Vec<Version>);

impl History {
    pub(crate) fn new(version: Version) -> Self {
        Self { latest: version, older: None }
    }

    pub(crate) fn latest(&self) -> &Version {
        &self.latest
    }

    pub(crate) fn push(&mut self, version: Version) {
        debug_assert!(version.mod_revision > self.latest.mod_revision, "one change of a key per revision");
        let previous = std::mem::replace(&mut self.latest, version);
        self.older.get_or_insert_with(|| Box::new(Older(Vec::with_capacity(1)))).0.push(previous);
    }

    fn older(&self) -> &[Version] {
        self.older.as_ref().map_or(&[], |older| &older.0)
    }

    /// All versions, oldest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.older().iter().chain(std::iter::once(&self.latest))
    }

    /// The state of the key at that revision, if it is retained.
    pub(crate) fn at(&self, revision: i64) -> Option<&Version> {
        if self.latest.mod_revision <= revision {
            return Some(&self.latest);
        }
        let older = self.older();
        older[..older.partition_point(|version| version.mod_revision <= revision)].last()
    }

    /// The change made at exactly that revision, and the previous state of the key, if it is retained.
    pub(crate) fn change_at(&self, revision: i64) -> Option<(&Version, Option<&Version>)> {
        let older = self.older();
        if self.latest.mod_revision == revision {
            return Some((&self.latest, older.last()));
        }
        let index = older.binary_search_by_key(&revision, |version| version.mod_revision).ok()?;
        Some((&older[index], index.checked_sub(1).map(|before| &older[before])))
    }

    /// Drops versions that cannot be read once everything before `revision` is compacted: those that were superseded at
    /// `revision`, and deletions made before it. Passes each dropped version to `dropped`; returns false if none
    /// remains.
    ///
    /// A change made at `revision` itself remains, even a deletion, so that a watch may still start there.
    pub(crate) fn compact(&mut self, revision: i64, mut dropped: impl FnMut(&Version)) -> bool {
        if let Some(older) = &mut self.older {
            // The newest version at or before `revision` is the first that remains.
            let superseded = if self.latest.mod_revision <= revision {
                older.0.len()
            } else {
                older.0.partition_point(|version| version.mod_revision <= revision).saturating_sub(1)
            };
            older.0.drain(..superseded).for_each(|version| dropped(&version));
            if older.0.first().is_some_and(|first| !first.is_alive() && first.mod_revision < revision) {
                dropped(&older.0.remove(0));
            }
            if older.0.is_empty() {
                self.older = None;
            } else if older.0.capacity() > 2 * older.0.len() {
                older.0.shrink_to_fit();
            }
        }
        let gone = self.older.is_none() && !self.latest.is_alive() && self.latest.mod_revision < revision;
        if gone {
            dropped(&self.latest);
        }
        !gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(mod_revision: i64) -> Version {
        Version { mod_revision, create_revision: 2, version: 1, lease: 0, value: Some(Arc::from(&b"v"[..])) }
    }

    fn history(versions: impl IntoIterator<Item = Version>) -> History {
        let mut versions = versions.into_iter();
        let mut history = History::new(versions.next().unwrap());
        versions.for_each(|version| history.push(version));
        history
    }

    fn revisions(history: &History) -> Vec<i64> {
        history.versions().map(|version| version.mod_revision).collect()
    }

    #[test]
    fn the_version_at_a_revision_is_the_newest_up_to_it() {
        let history = history([put(3), put(5), Version::deleted(8)]);
        let found: Vec<_> = (2..=9).map(|at| history.at(at).map(|version| version.mod_revision)).collect();
        assert_eq!(found, [None, Some(3), Some(3), Some(5), Some(5), Some(5), Some(8), Some(8)]);
        assert!(history.change_at(4).is_none());
        assert_eq!(history.change_at(5).unwrap().1.unwrap().mod_revision, 3);
        assert_eq!(history.change_at(8).unwrap().1.unwrap().mod_revision, 5);
        assert!(history.change_at(3).unwrap().1.is_none());
    }

    #[test]
    fn compaction_retains_valid_versions() {
        let full = history([put(3), put(5), Version::deleted(8), put(10)]);
        for (at, kept) in [
            (2, vec![3, 5, 8, 10]),
            (3, vec![3, 5, 8, 10]),
            (4, vec![3, 5, 8, 10]),
            (5, vec![5, 8, 10]),
            (7, vec![5, 8, 10]),
            (8, vec![8, 10]),
            (9, vec![10]),
            (10, vec![10]),
            (99, vec![10]),
        ] {
            let mut history = full.clone();
            let mut dropped = Vec::new();
            assert!(history.compact(at, |version| dropped.push(version.mod_revision)));
            assert_eq!(revisions(&history), kept, "at {at}");
            assert_eq!(dropped.len() + kept.len(), 4, "at {at}");
        }
    }

    #[test]
    fn a_deleted_key_goes_with_the_revision_after_its_deletion() {
        let full = history([put(3), Version::deleted(8)]);
        let mut at_deletion = full.clone();
        assert!(at_deletion.compact(8, |_| ()));
        assert_eq!(revisions(&at_deletion), [8]);
        let mut after = full;
        let mut dropped = 0;
        assert!(!after.compact(9, |_| dropped += 1));
        assert_eq!(dropped, 2);
    }
}
