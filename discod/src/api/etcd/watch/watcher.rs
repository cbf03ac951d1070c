//! One watcher: its settings, and its position.

use std::sync::Arc;

use disco_proto::etcdserverpb::WatchCreateRequest;
use disco_proto::etcdserverpb::watch_create_request::FilterType;
use disco_proto::v1::{Event, event};
use disco_store::{Compacted, View};

use crate::api::etcd::errors;
use crate::api::etcd::places::Place;

/// Events read at once, so that a watch from far back does not hold a lock for long.
const EVENTS_AT_ONCE: usize = 256;

/// A position in the history of a range of keys.
pub(super) struct Watcher {
    // Copies: a request's bytes are a part of all that was received with it.
    pub(super) key: Arc<[u8]>,
    pub(super) range_end: Box<[u8]>,
    /// The first revision that was not sent; before it nothing concerns this watcher any more.
    pub(super) next: i64,
    wants_puts: bool,
    wants_deletes: bool,
    wants_previous: bool,
    /// Whether large answers are divided.
    pub(super) fragments: bool,
    /// Whether the client requested periodic progress.
    pub(super) wants_progress: bool,
    /// Whether the watcher received events since the last check for progress.
    pub(super) was_served: bool,
    _place: Place,
}

/// Events to send, which are complete up to `revision`.
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) revision: i64,
}

// === impl Watcher ===

impl Watcher {
    /// Why such a watcher is refused, with etcd's text.
    pub(super) fn refuse(request: &WatchCreateRequest) -> Option<&'static str> {
        if request.start_revision < 0 {
            return Some(errors::COMPACTED);
        }
        // A single zero byte is everything from the key on.
        let ends = !request.range_end.is_empty() && *request.range_end != [0];
        (ends && *request.range_end <= *key(request)).then_some(errors::EMPTY_WATCH)
    }

    /// Creates a watcher. `revision` is the newest: without a start the watch begins after it.
    pub(super) fn new(request: WatchCreateRequest, revision: i64, place: Place) -> Self {
        let filtered = |filter: FilterType| request.filters.contains(&i32::from(filter));
        Self {
            key: key(&request).into(),
            next: if request.start_revision == 0 { revision + 1 } else { request.start_revision },
            wants_puts: !filtered(FilterType::Noput),
            wants_deletes: !filtered(FilterType::Nodelete),
            wants_previous: request.prev_kv,
            fragments: request.fragment,
            wants_progress: request.progress_notify,
            was_served: false,
            range_end: Box::from(&*request.range_end),
            _place: place,
        }
    }

    /// Reads part of what was not sent yet; it counts as sent from now on.
    pub(super) fn read(&mut self, view: View<'_>) -> Result<Batch, Compacted> {
        let history = view.history(self.next, &self.key, &self.range_end, EVENTS_AT_ONCE)?;
        self.next = history.next;
        let events = history.revisions.into_iter().flat_map(|revision| revision.events);
        let mut events: Vec<Event> = events.filter(|event| self.wants(event)).collect();
        if !self.wants_previous {
            events.iter_mut().for_each(|event| event.prev_kv = None);
        }
        Ok(Batch { events, revision: history.next - 1 })
    }

    fn wants(&self, event: &Event) -> bool {
        match event.r#type() {
            event::Type::Put => self.wants_puts,
            event::Type::Delete => self.wants_deletes,
        }
    }
}

/// Without a key the watch begins at the first one.
fn key(request: &WatchCreateRequest) -> &[u8] {
    if request.key.is_empty() { &[0] } else { &request.key }
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::command::Operation;
    use disco_proto::v1::{Command, DeleteRangeRequest, PutRequest};
    use disco_store::{Scope, Store};

    use super::*;
    use crate::api::etcd::places::Places;

    fn store() -> Store {
        let mut store = Store::default();
        let put = |value: &'static str| {
            Operation::Put(PutRequest { key: "a".into(), value: value.into(), ..PutRequest::default() })
        };
        let delete = Operation::DeleteRange(DeleteRangeRequest { key: "a".into(), ..DeleteRangeRequest::default() });
        for operation in [put("1"), put("2"), delete] {
            store.apply(1, &Command { operation: Some(operation), ..Command::default() });
        }
        store
    }

    fn read(request: WatchCreateRequest) -> Vec<(i64, i32, bool)> {
        let store = store();
        let mut watcher = Watcher::new(request, store.revision(), Places::new(1, 1).take(None).unwrap());
        let batch = watcher.read(store.view(Scope::Users)).unwrap();
        assert_eq!((batch.revision, watcher.next), (4, 5));
        let shown = |event: Event| (event.kv.unwrap().mod_revision, event.r#type, event.prev_kv.is_some());
        batch.events.into_iter().map(shown).collect()
    }

    #[test]
    fn filters_and_previous_pairs_are_as_requested() {
        let all = WatchCreateRequest { key: "a".into(), start_revision: 2, ..WatchCreateRequest::default() };
        assert_eq!(read(all.clone()), [(2, 0, false), (3, 0, false), (4, 1, false)]);
        let previous = WatchCreateRequest { prev_kv: true, ..all.clone() };
        assert_eq!(read(previous), [(2, 0, false), (3, 0, true), (4, 1, true)]);
        assert_eq!(read(WatchCreateRequest { filters: vec![0], ..all.clone() }), [(4, 1, false)]);
        assert_eq!(read(WatchCreateRequest { filters: vec![1], ..all.clone() }), [(2, 0, false), (3, 0, false)]);
        assert_eq!(read(WatchCreateRequest { filters: vec![0, 1], ..all.clone() }), []);
        assert_eq!(read(WatchCreateRequest { start_revision: 0, ..all }), []);
        let everything =
            WatchCreateRequest { range_end: vec![0].into(), start_revision: 4, ..WatchCreateRequest::default() };
        assert_eq!(read(everything), [(4, 1, false)]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let request = |key: &'static str, end: &'static str, start_revision| WatchCreateRequest {
            key: key.into(),
            range_end: end.into(),
            start_revision,
            ..WatchCreateRequest::default()
        };
        assert_eq!(Watcher::refuse(&request("a", "", 0)), None);
        assert_eq!(Watcher::refuse(&request("a", "\0", 7)), None);
        assert_eq!(Watcher::refuse(&request("", "\0", 0)), None);
        assert_eq!(Watcher::refuse(&request("a", "a", 0)), Some(errors::EMPTY_WATCH));
        assert_eq!(Watcher::refuse(&request("b", "a", 0)), Some(errors::EMPTY_WATCH));
        assert_eq!(Watcher::refuse(&request("a", "", -1)), Some(errors::COMPACTED));
    }
}
