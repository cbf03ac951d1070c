//! Space on the disk for contents.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{blocking, referred};
use crate::local::artifacts::{BUDGET, GRACE};
use crate::node::Node;

/// Contents leave this many times the free bytes that writes need, so that they never make a node refuse writes.
const RESERVES: u64 = 4;
/// Pause after contents were removed, so that the free space is measured again before it is compared.
const MEASURED: Duration = Duration::from_millis(250);

/// Free bytes on this node's disk, and how many of them contents leave free.
#[must_use]
pub fn free(node: &Node) -> (u64, u64) {
    let room = node.raft().room();
    (room.free, room.needed * RESERVES)
}

/// Makes sure that a content of this size fits onto this node's disk: what nothing needs gives way.
///
/// # Errors
/// Why it does not fit.
pub async fn require(node: &Node, size: u64) -> Result<(), String> {
    let (available, reserve) = free(node);
    if available >= size.saturating_add(reserve) {
        return Ok(());
    }
    if let Err(error) = prune(node, 0).await {
        tracing::warn!(error, "cannot remove programs' files that nothing needs");
    }
    tokio::time::sleep(MEASURED).await;
    let (available, reserve) = free(node);
    match available >= size.saturating_add(reserve) {
        true => Ok(()),
        false => Err(full(node.name(), available, size, reserve)),
    }
}

/// Why a node has no space.
#[must_use]
pub fn full(name: &str, free: u64, size: u64, reserve: u64) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "the disk of {name} has no space for programs of {:.1} MiB: {:.0} MiB free, {:.0} MiB needed, of which {:.0} MiB stay \
         free for the cluster's own data\nhint: free space there, or use a larger disk",
        mib(size),
        mib(free),
        mib(size.saturating_add(reserve)),
        mib(reserve)
    )
}

/// Removes contents that no version of a service needs: all that are older than [`GRACE`], beyond this many bytes.
///
/// # Errors
/// The disk fails, or this node does not know what is needed.
pub async fn prune(node: &Node, budget: u64) -> Result<(), String> {
    let Some(needed) = referred(node) else { return Err("a version of a service cannot be read".to_owned()) };
    let artifacts = node.artifacts().clone();
    blocking(move || {
        let hashes: BTreeSet<String> = needed.into_iter().map(|content| content.sha256).collect();
        artifacts.prune(&hashes, budget.min(BUDGET), GRACE)
    })
    .await
    .map_err(|error| error.to_string())
}
