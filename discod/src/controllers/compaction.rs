//! Bounds the store's history.

use std::time::Duration;

use disco_proto::v1::CompactRequest;
use disco_proto::v1::command::Operation;
use disco_store::CompactionPolicy;

use crate::node::Node;

const INTERVAL: Duration = Duration::from_secs(5);

pub(super) async fn run(node: &Node, term: u64) {
    let policy = CompactionPolicy::default();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let Some(revision) = node.raft().store().read(|store| policy.due(store)) else { continue };
        match node.write_in_term(term, Operation::Compact(CompactRequest { revision })).await {
            Ok(_) => tracing::debug!(revision, "compacted the history"),
            Err(error) => tracing::warn!(%error, "the history was not compacted"),
        }
    }
}
