//! Removes old script versions, old deployments, contents of files that none of them needs, and the health of nodes that
//! are members no more. What goes is decided by [`crate::cluster::scripts::garbage`].

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::scripts::records::{DeploymentRecord, current, deployments, versions};
use crate::cluster::scripts::{blobs, garbage};
use crate::node::{Node, WriteError};
use crate::records::keys;
use crate::records::{self, Txn};

/// Nothing of it is urgent.
const INTERVAL: Duration = Duration::from_secs(60);

/// Looks again and again as long as this node leads.
pub(super) async fn run(node: &Node, term: u64) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = collect(node, term).await {
            tracing::debug!(%error, "what is not needed any more was not removed");
        }
    }
}

async fn collect(node: &Node, term: u64) -> Result<(), WriteError> {
    // Nothing is pushed or deployed between the look and the removal.
    let commit = node.scripts().commits().await;
    let store = node.raft().store();
    let (all_versions, mut all_deployments) = store.read(|store| {
        let deployments: Vec<DeploymentRecord> = deployments(store).into_iter().map(|found| found.value).collect();
        (versions(store), deployments)
    });
    let in_use = store.read(current).map(|current| current.value.hash);
    let old = garbage::old_deployments(&all_deployments);
    for number in &old {
        remove(node, term, &keys::deployment(*number)).await?;
    }
    all_deployments.retain(|deployment| !old.contains(&deployment.id));
    let old = garbage::old_versions(&all_versions, in_use.as_deref(), &all_deployments);
    for hash in &old {
        remove(node, term, &keys::script(hash)).await?;
    }
    let kept: Vec<_> = all_versions.into_iter().filter(|version| !old.contains(&version.hash)).collect();
    let needed = garbage::needed(&kept, &all_deployments);
    let all = store.read(blobs::all);
    let over = node.scripts().idle_blobs(|idle| idle.over(&all, &needed, Instant::now()));
    for sha256 in &over {
        blobs::remove(node, term, sha256).await?;
    }
    drop(commit);
    if !over.is_empty() {
        tracing::info!(blobs = over.len(), "removed contents of files that nothing refers to");
    }
    forget_health(node, term).await
}

/// A node that was removed does not come back: its id is not used again.
async fn forget_health(node: &Node, term: u64) -> Result<(), WriteError> {
    let members = node.raft().members();
    for id in node.raft().store().read(records::nodes_with_health) {
        if !members.iter().any(|member| member.id == id) {
            remove(node, term, &records::keys::health(id)).await?;
        }
    }
    Ok(())
}

async fn remove(node: &Node, term: u64, key: &str) -> Result<(), WriteError> {
    node.write_in_term(term, Txn::new().delete(key).operation()).await.map(|_| ())
}
