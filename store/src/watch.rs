//! The events of past revisions, for watches that catch up.

use disco_proto::v1::{Event, event};

use crate::{KeyRange, Scope, Store};

/// Maximum size of keys and values in one part of the history: it bounds the memory of a slow watcher, however large
/// values are.
const HISTORY_BYTES: usize = 1 << 20;

/// The start of a watch is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("revision {requested} is compacted; the oldest available is {compact_revision}")]
pub struct Compacted {
    /// Requested start of the watch.
    pub requested: i64,
    /// The first revision from which a watch can start.
    pub compact_revision: i64,
}

/// The events of one revision, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionEvents {
    /// Revision of all the events.
    pub revision: i64,
    /// Never empty.
    pub events: Vec<Event>,
}

/// A part of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Revisions with matching events, oldest first.
    pub revisions: Vec<RevisionEvents>,
    /// The revision to continue from. If it is after the newest revision, the history is complete, and events applied
    /// from now on follow.
    pub next: i64,
}

impl Store {
    /// Events from `from_revision` (0 or less: from now on) on the keys that `key` and `range_end` name, as a watch
    /// would have received them. Ends after the revision in which `max_events`, or a megabyte of keys and values, is
    /// reached; a revision is never split.
    ///
    /// The previous pair of an event is absent if it was compacted.
    ///
    /// # Errors
    /// `from_revision` is compacted.
    pub fn history(
        &self,
        from_revision: i64,
        key: &[u8],
        range_end: &[u8],
        max_events: usize,
    ) -> Result<History, Compacted> {
        self.history_in(Scope::All, from_revision, key, range_end, max_events)
    }

    pub(crate) fn history_in(
        &self,
        scope: Scope,
        from_revision: i64,
        key: &[u8],
        range_end: &[u8],
        max_events: usize,
    ) -> Result<History, Compacted> {
        let end = self.revision + 1;
        if from_revision <= 0 {
            return Ok(History { revisions: Vec::new(), next: end });
        }
        if from_revision < self.compact_revision {
            return Err(Compacted { requested: from_revision, compact_revision: self.compact_revision });
        }
        let range = KeyRange::new(key, range_end).within(scope);
        let mut revisions: Vec<RevisionEvents> = Vec::new();
        let matching = self.log.since(from_revision).filter(|change| range.contains(&change.key));
        let mut bytes = 0;
        for (sent, change) in matching.enumerate() {
            let same_revision = revisions.last().is_some_and(|last| last.revision == change.revision);
            let enough = sent >= max_events || bytes >= HISTORY_BYTES;
            if !same_revision && enough && !revisions.is_empty() {
                return Ok(History { revisions, next: change.revision });
            }
            let event = self.event(&change.key, change.revision);
            let pairs = event.iter().flat_map(|event| event.kv.iter().chain(&event.prev_kv));
            bytes += pairs.map(|pair| pair.key.len() + pair.value.len()).sum::<usize>();
            match revisions.last_mut() {
                Some(last) if same_revision => last.events.extend(event),
                _ => revisions.push(RevisionEvents { revision: change.revision, events: event.into_iter().collect() }),
            }
        }
        Ok(History { revisions, next: end.max(from_revision) })
    }

    /// The change of the key at that revision; every change in the log has its version.
    fn event(&self, key: &[u8], revision: i64) -> Option<Event> {
        let (_, history) = self.keys.history(key)?;
        let (version, previous) = history.change_at(revision)?;
        let kind = if version.is_alive() { event::Type::Put } else { event::Type::Delete };
        Some(Event {
            r#type: kind.into(),
            kv: Some(version.to_key_value(key)),
            prev_kv: previous.filter(|previous| previous.is_alive()).map(|previous| previous.to_key_value(key)),
        })
    }
}
