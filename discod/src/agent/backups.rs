//! When a backup is made, and when not.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cluster::backups::{Folder, Kept, take};
use crate::node::Node;
use crate::raft::Role;
use crate::records::{self, Severity};

/// What all of a node's backups may take together. A small cluster's are a few kilobytes each; of a store at its quota one is
/// kept.
const MAX_BYTES: u64 = 256 << 20;
/// A backup leaves so many times the room that the node needs for taking writes.
const SPARE: u64 = 4;
/// The soonest after a start, as a part of the interval: a node that is started again and again makes no more of them.
const SOONEST: u32 = 10;
/// Looks in a row at which the node has no vote, before its backups are removed: after `disco recover` the survivors vote
/// again in a moment, and until then their backups may be what is needed.
const LEARNER_KEEPS: u32 = 2;

/// Makes them until the process ends; none where the interval is 0.
pub(super) async fn run(node: Node) {
    if node.args().backup_interval.is_zero() {
        return;
    }
    let interval = node.args().backup_interval;
    let folder = Folder::within(node.home().path());
    let mut wait = first(interval, folder.age());
    let (mut as_learner, mut told) = (0, false);
    loop {
        tokio::time::sleep(wait).await;
        wait = interval;
        match role(&node) {
            Some(Role::Voter) => {
                as_learner = 0;
                match make(&node, &folder).await {
                    Ok(made) => {
                        told = false;
                        if let Some(made) = made {
                            tracing::info!(file = made.name, bytes = made.size, "made a backup");
                        }
                    }
                    Err(error) => tell(&node, &mut told, &error).await,
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
            // It is not admitted yet, or was removed.
            None => {}
        }
    }
}

/// From the start to the first look.
fn first(interval: Duration, age: Option<Duration>) -> Duration {
    let due = age.map_or(Duration::ZERO, |age| interval.saturating_sub(age));
    due.max(interval / SOONEST)
}

fn role(node: &Node) -> Option<Role> {
    node.raft().members().into_iter().find(|member| member.id == node.id()).map(|member| member.role)
}

/// Makes a backup where the store has changed since the last one.
async fn make(node: &Node, folder: &Folder) -> Result<Option<Kept>> {
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

/// Says once, until one was made again, that there is none. An event changes the store, so that it is not said each time.
async fn tell(node: &Node, told: &mut bool, error: &anyhow::Error) {
    tracing::warn!(error = format!("{error:#}"), "backup failed");
    if !std::mem::replace(told, true) {
        let text = format!("{} made no backup: {error:#}", node.name());
        records::emit(node, "backup.skipped", Severity::Warning, Some(node.id()), text).await;
    }
}

/// Who has no vote any more makes no backups, and its old ones would only grow older.
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
