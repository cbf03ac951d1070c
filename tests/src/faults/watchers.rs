use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use disco_proto::v1::{Event, WatchRequest};

use super::clients::Shared;

/// Pause between two attempts to reach a node.
const PAUSE: Duration = Duration::from_millis(100);
/// A node that is silent for this long may be paused or cut off: a new connection is made.
const SILENCE: Duration = Duration::from_secs(5);

/// The events that the nodes reported to their watchers: different ones for the same revision are a violation.
#[derive(Default)]
pub(super) struct Deliveries {
    revisions: Mutex<BTreeMap<i64, (usize, u64)>>,
    violations: Mutex<Vec<String>>,
}

impl Deliveries {
    /// The number of revisions that at least one node reported, and the violations.
    pub(super) fn result(&self) -> (usize, Vec<String>) {
        (self.revisions.lock().unwrap().len(), self.violations.lock().unwrap().clone())
    }

    fn record(&self, node: usize, revision: i64, events: &[&Event]) {
        let mut hasher = DefaultHasher::new();
        for event in events {
            let kv = event.kv.as_ref().expect("an event is about a key");
            (event.r#type, &kv.key, &kv.value, kv.create_revision, kv.version).hash(&mut hasher);
        }
        let hash = hasher.finish();
        let mut revisions = self.revisions.lock().unwrap();
        let (first, known) = *revisions.entry(revision).or_insert((node, hash));
        if known != hash {
            let text =
                format!("nodes {first} and {node} reported different events for revision {revision}: {events:?}");
            self.violations.lock().unwrap().push(text);
        }
    }

    fn went_back(&self, node: usize, last: i64, revision: i64) {
        let text = format!("node {node} reported revision {revision} after {last}");
        self.violations.lock().unwrap().push(text);
    }
}

/// Follows the node of this index until the run stops.
pub(super) async fn follow(shared: Arc<Shared>, deliveries: Arc<Deliveries>, node: usize) {
    let mut last = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let address = shared.addresses.read().unwrap()[node].clone();
        let request = WatchRequest {
            key: vec![0].into(),
            range_end: vec![0].into(),
            start_revision: last + 1,
            ..WatchRequest::default()
        };
        let mut control = shared.api.control(&address);
        if let Ok(Ok(stream)) = tokio::time::timeout(SILENCE, control.watch(request)).await {
            let mut stream = stream.into_inner();
            while let Ok(Ok(Some(answer))) = tokio::time::timeout(SILENCE, stream.message()).await {
                if answer.compact_revision != 0 {
                    last = answer.compact_revision;
                    break;
                }
                let mut by_revision: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
                for event in &answer.events {
                    let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
                    by_revision.entry(revision).or_default().push(event);
                }
                for (revision, events) in by_revision {
                    if revision <= last {
                        deliveries.went_back(node, last, revision);
                    }
                    deliveries.record(node, revision, &events);
                    last = last.max(revision);
                }
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
