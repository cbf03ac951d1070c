//! The watchers of one stream, and which of them lag.
//!
//! A new revision concerns few of them. Those are found by the keys that it changed, so a revision costs a look-up for
//! each of its changes, and not one for each of ten thousand watchers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use disco_store::{Compacted, History, KeyRange, View};

use super::watcher::Watcher;

/// Changes read at once, so that a stream that lags does not hold a lock for long.
const CHANGES_AT_ONCE: usize = 1_024;
/// The key and the range end of all keys.
const ALL: [u8; 1] = [0];

/// Watchers by id.
pub(super) struct Watchers {
    by_id: BTreeMap<i64, Watcher>,
    /// Those of a single key, by it.
    by_key: BTreeSet<(Arc<[u8]>, i64)>,
    /// Those of a range of keys.
    of_ranges: BTreeSet<i64>,
    /// Those for which there may be events up to `seen`.
    behind: BTreeSet<i64>,
    /// The last revision whose changes were compared with the watchers.
    seen: i64,
    /// Where to search for the next free id.
    next_id: i64,
    /// The watcher that was served last: the next one that lags is served next.
    last_served: i64,
}

// === impl Watchers ===

impl Watchers {
    /// No watchers, at the newest revision.
    pub(super) fn new(seen: i64) -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_key: BTreeSet::new(),
            of_ranges: BTreeSet::new(),
            behind: BTreeSet::new(),
            seen,
            next_id: 0,
            last_served: -1,
        }
    }

    pub(super) fn contains(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn free_id(&mut self) -> i64 {
        while self.by_id.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    pub(super) fn insert(&mut self, id: i64, watcher: Watcher) {
        if watcher.range_end.is_empty() {
            self.by_key.insert((watcher.key.clone(), id));
        } else {
            self.of_ranges.insert(id);
        }
        if watcher.next <= self.seen {
            self.behind.insert(id);
        }
        self.by_id.insert(id, watcher);
    }

    /// Removes the watcher; false if there is none.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        let Some(watcher) = self.by_id.remove(&id) else { return false };
        self.by_key.remove(&(watcher.key, id));
        self.of_ranges.remove(&id);
        self.behind.remove(&id);
        true
    }

    /// Compares a part of the new changes with the watchers, and finds those that lag. True once all changes were
    /// compared.
    pub(super) fn catch_up(&mut self, view: View<'_>) -> bool {
        let newest = view.revision();
        if self.by_id.is_empty() {
            self.seen = newest;
        }
        if self.seen >= newest {
            return true;
        }
        match view.history(self.seen + 1, &ALL, &ALL, CHANGES_AT_ONCE) {
            Ok(history) => self.compare(&history),
            Err(Compacted { .. }) => {
                // What changed is not known any more: each watcher finds out on its own, and ends where it must.
                let first = self.seen + 1;
                self.seen = newest;
                for (id, watcher) in &mut self.by_id {
                    watcher.next = watcher.next.max(first);
                    if watcher.next <= newest {
                        self.behind.insert(*id);
                    }
                }
            }
        }
        self.seen >= newest
    }

    fn compare(&mut self, history: &History) {
        let mut concerned = Vec::new();
        for revision in &history.revisions {
            for kv in revision.events.iter().filter_map(|event| event.kv.as_ref()) {
                let key: Arc<[u8]> = Arc::from(&*kv.key);
                let of_key = (key.clone(), i64::MIN)..=(key, i64::MAX);
                concerned.extend(self.by_key.range(of_key).map(|(_, id)| *id));
                concerned.extend(self.of_ranges.iter().copied().filter(|id| {
                    let watcher = self.by_id.get(id);
                    watcher.is_some_and(|watcher| KeyRange::new(&watcher.key, &watcher.range_end).contains(&kv.key))
                }));
                for id in concerned.drain(..) {
                    if self.behind.contains(&id) {
                        continue;
                    }
                    if let Some(watcher) = self.by_id.get_mut(&id)
                        && watcher.next <= revision.revision
                    {
                        watcher.next = revision.revision;
                        self.behind.insert(id);
                    }
                }
            }
        }
        self.seen = history.next - 1;
    }

    /// The next watcher that lags, in round-robin order.
    pub(super) fn next_behind(&self) -> Option<i64> {
        let after = self.behind.range(self.last_served.saturating_add(1)..);
        let before = self.behind.range(..=self.last_served);
        after.chain(before).next().copied()
    }

    /// A watcher to be served.
    pub(super) fn serve(&mut self, id: i64) -> Option<&mut Watcher> {
        self.last_served = id;
        self.by_id.get_mut(&id)
    }

    /// Takes note that a watcher was served, which may still lag.
    pub(super) fn served(&mut self, id: i64) {
        if self.by_id.get(&id).is_none_or(|watcher| watcher.next > self.seen) {
            self.behind.remove(&id);
        }
    }

    /// Watchers that requested progress and received nothing since the last call.
    pub(super) fn idle(&mut self) -> Vec<i64> {
        let mut idle = Vec::new();
        for (id, watcher) in &mut self.by_id {
            let served = std::mem::take(&mut watcher.was_served);
            if watcher.wants_progress && !served && !self.behind.contains(id) {
                idle.push(*id);
            }
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    use disco_proto::etcdserverpb::WatchCreateRequest;
    use disco_proto::v1::command::Operation;
    use disco_proto::v1::{Command, CompactRequest, PutRequest};
    use disco_store::{Scope, Store};

    use super::*;
    use crate::api::etcd::places::Places;

    fn apply(store: &mut Store, operation: Operation) {
        store.apply(1, &Command { operation: Some(operation), ..Command::default() });
    }

    fn put(store: &mut Store, key: &'static str) -> i64 {
        apply(store, Operation::Put(PutRequest { key: key.into(), value: "v".into(), ..PutRequest::default() }));
        store.revision()
    }

    fn watch(watchers: &mut Watchers, store: &Store, key: &'static str, end: &'static str, start: i64) -> i64 {
        let request = WatchCreateRequest {
            key: key.into(),
            range_end: end.into(),
            start_revision: start,
            ..WatchCreateRequest::default()
        };
        let id = watchers.free_id();
        watchers.insert(id, Watcher::new(request, store.revision(), Places::new(1, 1).take(None).unwrap()));
        id
    }

    /// Serves every watcher that lags, and returns what each received: revisions.
    fn serve(watchers: &mut Watchers, store: &Store) -> BTreeMap<i64, Vec<i64>> {
        while !watchers.catch_up(store.view(Scope::Users)) {}
        let mut sent: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        while let Some(id) = watchers.next_behind() {
            let batch = watchers.serve(id).unwrap().read(store.view(Scope::Users));
            let revisions = batch.unwrap().events.into_iter().map(|event| event.kv.unwrap().mod_revision);
            sent.entry(id).or_default().extend(revisions);
            watchers.served(id);
        }
        sent
    }

    #[test]
    fn a_change_concerns_the_watchers_of_its_key_and_no_others() {
        let mut store = Store::default();
        let first = put(&mut store, "a");
        let mut watchers = Watchers::new(store.revision());
        let of_a = watch(&mut watchers, &store, "a", "", 0);
        let of_b = watch(&mut watchers, &store, "b", "", 0);
        let again = watch(&mut watchers, &store, "a", "", 0);
        let range = watch(&mut watchers, &store, "a", "b", 0);
        let all = watch(&mut watchers, &store, "", "\0", 0);
        let late = watch(&mut watchers, &store, "a", "", first);
        let future = watch(&mut watchers, &store, "a", "", first + 3);
        assert_eq!(serve(&mut watchers, &store), BTreeMap::from([(late, vec![first])]));
        let one = put(&mut store, "a");
        let two = put(&mut store, "c");
        let sent = serve(&mut watchers, &store);
        let expected =
            [(of_a, vec![one]), (again, vec![one]), (range, vec![one]), (all, vec![one, two]), (late, vec![one])];
        assert_eq!(sent, BTreeMap::from(expected));
        assert!(watchers.remove(again) && !watchers.remove(again));
        let three = put(&mut store, "a");
        let four = put(&mut store, "b");
        let sent = serve(&mut watchers, &store);
        let of_three = [of_a, range, late, future].map(|id| (id, vec![three]));
        assert_eq!(
            sent,
            BTreeMap::from_iter(of_three.into_iter().chain([(of_b, vec![four]), (all, vec![three, four])]))
        );
        assert!(watchers.idle().is_empty(), "none requested progress");
    }

    #[test]
    fn what_was_compacted_under_a_stream_ends_its_watchers_and_nothing_is_skipped() {
        let mut store = Store::default();
        put(&mut store, "a");
        let mut watchers = Watchers::new(store.revision());
        let of_a = watch(&mut watchers, &store, "a", "", 0);
        for _ in 0..9 {
            put(&mut store, "a");
        }
        let revision = store.revision();
        apply(&mut store, Operation::Compact(CompactRequest { revision }));
        assert!(watchers.catch_up(store.view(Scope::Users)));
        assert_eq!(watchers.next_behind(), Some(of_a));
        assert!(watchers.serve(of_a).unwrap().read(store.view(Scope::Users)).is_err());
    }
}
