//! Bounds the store's history, by count, by size and by age.

use std::time::Duration;

use disco_proto::v1::CompactRequest;
use disco_proto::v1::command::Operation;
use disco_store::{Ages, CompactionPolicy, Store};
use tokio::time::Instant;

use crate::node::Leader;

/// Between two looks, however fast the store changes.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two looks where nothing changes.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) async fn run(leader: &Leader) {
    let policy = CompactionPolicy::default();
    let start = Instant::now();
    // A new leader knows no ages: what it finds counts as new.
    let mut ages = Ages::default();
    let mut revisions = leader.raft().store().revisions();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            changed = revisions.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
                revisions.mark_unchanged();
            }
            // What is there grows old also where nothing changes.
            _ = ticks.tick() => {}
        }
        let now_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        ages.note(now_ms, leader.raft().store().read(Store::revision));
        let Some(revision) = leader.raft().store().read(|store| policy.due(store, &ages, now_ms)) else { continue };
        match leader.write_in_term(Operation::Compact(CompactRequest { revision })).await {
            Ok(_) => tracing::debug!(revision, "compacted the history"),
            Err(error) => tracing::warn!(%error, "the history was not compacted"),
        }
    }
}
