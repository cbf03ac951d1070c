//! The keys that each retained revision changed, in order: the source of watches that start in the past.

use std::{collections::VecDeque, sync::Arc};

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: i64,
    /// The same allocation as the key in the map.
    pub(crate) key: Arc<[u8]>,
}

/// Changes at the compaction revision and later. Revisions never decrease; within one, changes have the order of the
/// operations.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChangeLog {
    changes: VecDeque<Change>,
}

impl ChangeLog {
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn push(&mut self, revision: i64, key: Arc<[u8]>) {
        self.changes.push_back(Change { revision, key });
    }

    /// Changes made at `revision` or later.
    pub(crate) fn since(&self, revision: i64) -> impl Iterator<Item = &Change> {
        self.changes.range(self.changes.partition_point(|change| change.revision < revision)..)
    }

    /// Changes made at `revision` or earlier.
    pub(crate) fn until(&self, revision: i64) -> impl Iterator<Item = &Change> {
        self.changes.range(..self.changes.partition_point(|change| change.revision <= revision))
    }

    pub(crate) fn drop_before(&mut self, revision: i64) {
        self.changes.drain(..self.changes.partition_point(|change| change.revision < revision));
        if self.changes.capacity() > 1_024 && self.changes.capacity() > 4 * self.changes.len() {
            self.changes.shrink_to(2 * self.changes.len());
        }
    }
}
