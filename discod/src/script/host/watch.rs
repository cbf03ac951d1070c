//! `cluster.kv.watch` on a node: from the node's own state, pulled by the script.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use disco_proto::v1::Event;
use disco_proto::v1::event::Type;
use disco_runtime_js::kv::{KvEvent, KvWatch};
use disco_runtime_js::{ErrorCode, HostError};
use disco_store::Store;
use tokio::sync::watch;

use super::kv::entry;
use crate::raft::SharedStore;

/// Events read at once.
const AT_ONCE: usize = 64;

/// A position in the history. Events are read only when the script pulls them.
pub(super) struct StoreWatch {
    store: SharedStore,
    revisions: watch::Receiver<i64>,
    key: Bytes,
    range_end: Bytes,
    /// The first unread revision.
    next: i64,
    read: VecDeque<Event>,
}

// === impl StoreWatch ===

impl StoreWatch {
    /// Watches from the given revision on; 0 is from now.
    pub(super) fn new(store: SharedStore, key: Bytes, range_end: Bytes, start: i64) -> Result<Self, HostError> {
        let next = first(start, store.read(Store::revision))?;
        Ok(Self { revisions: store.revisions(), store, key, range_end, next, read: VecDeque::new() })
    }
}

#[async_trait]
impl KvWatch for StoreWatch {
    async fn next(&mut self) -> Result<Option<KvEvent>, HostError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(to_event(event));
            }
            // Nothing is consumed before this wait, so dropping the future loses nothing.
            if self.revisions.wait_for(|revision| *revision >= self.next).await.is_err() {
                return Ok(None);
            }
            let (key, range_end, next) = (&self.key, &self.range_end, self.next);
            let history = self.store.read(|store| store.history(next, key, range_end, AT_ONCE));
            let history = history.map_err(|error| HostError::new(error.to_string()).with_code(ErrorCode::Compacted))?;
            self.read.extend(history.revisions.into_iter().flat_map(|revision| revision.events));
            self.next = history.next;
        }
    }
}

/// The first revision of a watch that requests `start` while the store is at `now`.
fn first(start: i64, now: i64) -> Result<i64, HostError> {
    match start {
        // It would wait forever: no such revision exists.
        ..0 => Err(HostError::invalid(format!("`start_revision` of a watch must not be negative: {start}"))),
        0 => Ok(now + 1),
        _ => Ok(start),
    }
}

fn to_event(event: Event) -> Option<KvEvent> {
    let kind = event.r#type();
    let kv = event.kv?;
    Some(match kind {
        Type::Put => KvEvent::Put(entry(kv)),
        Type::Delete => KvEvent::Delete { mod_revision: kv.mod_revision, key: kv.key.into() },
    })
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn a_watch_begins_now_or_at_a_valid_revision() {
        assert_eq!(first(0, 7), Ok(8));
        assert_eq!((first(1, 7), first(9, 7)), (Ok(1), Ok(9)));
        assert!(first(-1, 7).is_err() && first(i64::MIN, 7).is_err());
    }
}
