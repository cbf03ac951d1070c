//! Decides when a node makes a backup.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cluster::backups::{Folder, StoredBackup, take};
use crate::node::Node;
use crate::raft::Role;
use crate::records::{self, Severity};

/// Total size of a node's backups. Those of a small cluster have a few kilobytes each; of a store at its quota only one
/// is retained.
const MAX_BYTES: u64 = 256 << 20;
/// A backup leaves this multiple of the free space that the node needs to accept writes.
const SPARE: u64 = 4;
/// Earliest time of a backup after a start, as a fraction of the interval: a node that restarts repeatedly makes no
/// additional backups.
const SOONEST: u32 = 10;
/// Number of consecutive checks without a vote after which the node removes its backups: after `disco recover` the
/// survivors vote again within a moment, and until then their backups may be needed.
const LEARNER_KEEPS: u32 = 2;

/// Makes backups until the process ends; none if the interval is 0.
pub(super) async fn run(node: Node) {
    if node.args().backup_interval.is_zero() {
        return;
    }
    let interval = node.args().backup_interval;
    let folder = Folder::within(node.home().path());
    let mut wait = first(interval, folder.age());
    let (mut as_learner, mut reported) = (0, false);
    loop {
        tokio::time::sleep(wait).await;
        wait = interval;
        match role(&node) {
            Some(Role::Voter) => {
                as_learner = 0;
                match make(&node, &folder).await {
                    Ok(made) => {
                        reported = false;
                        if let Some(made) = made {
                            tracing::info!(file = made.name, bytes = made.size, "made a backup");
                        }
                    }
                    Err(error) => report_once(&node, &mut reported, &error).await,
                }
            }
            Some(Role::Learner) => {
                as_learner += 1;
                if as_learner == LEARNER_KEEPS
                    && let Err(error) = forget(&folder)
                {
                    tracing::warn!(%error, "could not remove the backups that this node made as a voter");
                }
            }
            // The node is not admitted yet, or was removed.
            None => {}
        }
    }
}

/// Time from the start to the first check.
fn first(interval: Duration, age: Option<Duration>) -> Duration {
    let due = age.map_or(Duration::ZERO, |age| interval.saturating_sub(age));
    due.max(interval / SOONEST)
}

fn role(node: &Node) -> Option<Role> {
    node.raft().members().into_iter().find(|member| member.id == node.id()).map(|member| member.role)
}

/// Makes a backup if the store has changed since the last one.
async fn make(node: &Node, folder: &Folder) -> Result<Option<StoredBackup>> {
    let (node, folder) = (node.clone(), folder.clone());
    let keep = usize::try_from(node.args().backup_keep)?;
    tokio::task::spawn_blocking(move || {
        let newest = folder.list()?.pop();
        let revision = node.raft().store().read(disco_store::Store::revision);
        if newest.is_some_and(|newest| newest.revision == revision) {
            return Ok(None);
        }
        let (head, store) = take(&node)?;
        let room = node.raft().room();
        let needed = room.needed.saturating_mul(SPARE).saturating_add(head.size);
        if room.free < needed {
            bail!("{} MiB are free on the disk, {} MiB are needed", room.free >> 20, (needed >> 20) + 1);
        }
        let made = folder.add(&head, |file| store.encode_snapshot(file))?;
        folder.prune(keep, MAX_BYTES).context("removing the oldest")?;
        Ok(Some(made))
    })
    .await?
}

/// Reports once that backups fail, and again only after one succeeded: an event changes the store, so repeating it
/// would require a backup each time.
async fn report_once(node: &Node, reported: &mut bool, error: &anyhow::Error) {
    tracing::warn!(error = format!("{error:#}"), "backup failed");
    if !std::mem::replace(reported, true) {
        let text = format!("{} made no backup: {error:#}", node.name());
        records::emit(node, "backup.skipped", Severity::Warning, Some(node.id()), text).await;
    }
}

/// A node without a vote makes no backups; its existing ones would only become outdated.
fn forget(folder: &Folder) -> io::Result<()> {
    if !folder.list()?.is_empty() {
        folder.clear()?;
        tracing::info!("this node is no longer a voter and has removed its backups");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_makes_backups_neither_rarer_nor_more_frequent() {
        let hour = Duration::from_secs(3600);
        assert_eq!(first(hour, None), hour / 10);
        assert_eq!(first(hour, Some(hour / 2)), hour / 2);
        assert_eq!(first(hour, Some(hour * 50)), hour / 10);
        assert_eq!(first(hour, Some(Duration::ZERO)), hour);
    }
}
