//! Removes old script versions, old deployments, contents of files that none of them needs, and the health of nodes that
//! are no longer members. [`crate::cluster::scripts::garbage`] decides.

use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

use crate::cluster::scripts::records::{DeploymentRecord, current, deployments, versions};
use crate::cluster::scripts::{blobs, garbage};
use crate::cluster::workloads::table::Table;
use crate::controllers::driver::{Controller, Outcome, Schedule};
use crate::node::{Leader, WriteError};
use crate::records::{self, GroupRecord, Txn, keys};

/// Removal is not urgent.
const PERIOD: Duration = Duration::from_secs(60);

/// Removes records and files that no version or deployment needs.
pub(super) struct Garbage;

// === impl Garbage ===

impl Controller for Garbage {
    const NAME: &'static str = "garbage";

    fn schedule(&self, _: &Leader) -> Schedule {
        Schedule { period: PERIOD, on_wake_up: false, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &Leader) -> anyhow::Result<Outcome> {
        collect(leader).await.context("removing unused script data")?;
        Ok(Outcome::Settled)
    }
}

async fn collect(leader: &Leader) -> Result<(), WriteError> {
    // No push or deployment may come between the check and the removal.
    let commit = leader.commits().await;
    let store = leader.raft().store();
    let (all_versions, mut all_deployments) = store.read(|store| {
        let deployments: Vec<DeploymentRecord> = deployments(store).into_iter().map(|found| found.value).collect();
        (versions(store), deployments)
    });
    let in_use = store.read(current).map(|current| current.value.hash);
    let old = garbage::old_deployments(&all_deployments);
    for number in &old {
        remove(leader, &keys::deployment(*number)).await?;
    }
    all_deployments.retain(|deployment| !old.contains(&deployment.id));
    let old = garbage::old_versions(&all_versions, in_use.as_deref(), &all_deployments);
    for hash in &old {
        remove(leader, &keys::script(hash)).await?;
    }
    let retained: Vec<_> = all_versions.into_iter().filter(|version| !old.contains(&version.hash)).collect();
    let table = store.read(|store| Table::<GroupRecord>::read(store, &Table::default()));
    if !table.unreadable().is_empty() {
        // Nobody knows which contents they need.
        return forget_health(leader).await;
    }
    let groups: Vec<GroupRecord> = table.values().cloned().collect();
    let needed = garbage::needed(&retained, &all_deployments, &groups);
    let all = store.read(blobs::all);
    let over = leader.idle_blobs(|idle| idle.over(&all, &needed, Instant::now()));
    for sha256 in &over {
        blobs::remove(leader, sha256).await?;
    }
    drop(commit);
    if !over.is_empty() {
        tracing::info!(blobs = over.len(), "removed unreferenced file contents");
    }
    forget_health(leader).await
}

/// A removed node does not return: its id is not used again.
async fn forget_health(leader: &Leader) -> Result<(), WriteError> {
    let members = leader.raft().members();
    for id in leader.raft().store().read(records::nodes_with_health) {
        if !members.iter().any(|member| member.id == id) {
            remove(leader, &records::keys::health(id)).await?;
        }
    }
    Ok(())
}

async fn remove(leader: &Leader, key: &str) -> Result<(), WriteError> {
    leader.write_in_term(Txn::new().delete(key).operation()).await.map(|_| ())
}
