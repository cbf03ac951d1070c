//! Keeps the contents of programs' files that this node needs, and removes others.
//!
//! Level-triggered: a voter compares what all versions of services need with its disk, whenever these change, and now and then.
//! So a new voter, one whose disk was damaged, and one that was down during a deployment all come to have everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use disco_store::prefix_end;
use futures_util::StreamExt;
use tokio::time::{Instant, MissedTickBehavior};

use crate::cluster::artifacts;
use crate::cluster::scripts::blobs;
use crate::local::artifacts::{Artifacts, BUDGET, Content};
use crate::node::Node;
use crate::records::keys;

/// The longest time between two passes.
const PERIOD: Duration = Duration::from_secs(20);
/// Time between two removals of what is not needed.
const PRUNE: Duration = Duration::from_secs(120);
/// How long changes are collected before a pass: the node that received a content hands it on by itself.
const COLLECT: Duration = Duration::from_secs(1);
/// Contents that are fetched at once.
const AT_ONCE: usize = 2;
/// Pauses after failures: the first and the longest.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);

/// Runs until the process ends.
pub(super) async fn run(node: Node) {
    let mut keeper = Keeper { node, seen: 0, failed: BTreeMap::new(), prune_at: Instant::now() + PRUNE };
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut revisions = keeper.node.raft().store().revisions();
    loop {
        let pass = tokio::select! {
            biased;
            _ = ticks.tick() => true,
            Ok(()) = revisions.changed() => {
                tokio::time::sleep(COLLECT).await;
                revisions.mark_unchanged();
                keeper.has_changed()
            }
        };
        if pass && let Err(error) = keeper.pass().await {
            tracing::warn!(error, "cannot compare the programs' files with those that are needed");
        }
    }
}

struct Keeper {
    node: Node,
    /// Revision up to which versions of services were taken into account; 0: none.
    seen: i64,
    /// What could not be fetched, how often, and when that is tried again.
    failed: BTreeMap<String, (u32, Instant)>,
    prune_at: Instant,
}

// === impl Keeper ===

impl Keeper {
    /// Whether a version of a service came or went since the last pass. Most revisions are of other keys.
    fn has_changed(&mut self) -> bool {
        let (key, end) = (keys::GROUPS.as_bytes(), prefix_end(keys::GROUPS.as_bytes()));
        let seen = self.seen;
        match self.node.raft().store().read(|store| store.history(seen + 1, key, &end, 1)) {
            Ok(history) if seen > 0 && history.revisions.is_empty() => {
                self.seen = history.next - 1;
                false
            }
            _ => true,
        }
    }

    async fn pass(&mut self) -> Result<(), String> {
        self.seen = self.node.raft().store().read(disco_store::Store::revision);
        // What this node's old copy of the state does not need may be needed.
        if Instant::now() >= self.prune_at
            && self.node.raft().read_barrier(self.node.raft().pace().request_timeout()).await.is_ok()
        {
            self.prune_at = Instant::now() + PRUNE;
            artifacts::prune(&self.node, BUDGET).await?;
        }
        if !artifacts::is_voter(&self.node) {
            // The tasks of others fetch what they need themselves.
            return Ok(());
        }
        let Some(needed) = artifacts::needed(&self.node) else {
            return Err("a version of a service cannot be read".to_owned());
        };
        let lacking = self.lacking(needed).await?;
        self.failed.retain(|sha256, _| lacking.iter().any(|content| content.sha256 == *sha256));
        let now = Instant::now();
        let due = lacking.into_iter().filter(|content| {
            let waits = self.failed.get(&content.sha256).is_some_and(|(_, next)| *next > now);
            // Of a version that an older program has deployed.
            let stored = || self.node.raft().store().read(|store| blobs::exists(store, &content.sha256));
            !waits && !stored()
        });
        let due: Vec<Content> = due.collect();
        let node = self.node.clone();
        let mut fetching = futures_util::stream::iter(due)
            .map(|content| {
                let node = node.clone();
                async move {
                    let result = artifacts::ensure(&node, &content, |_| {}).await;
                    (content.sha256, result)
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((sha256, result)) = fetching.next().await {
            match result {
                Ok(()) => {
                    self.failed.remove(&sha256);
                    tracing::info!(sha256, "fetched a program's file");
                }
                Err(error) => {
                    let (count, next) = self.failed.entry(sha256.clone()).or_insert((0, now));
                    if *count == 0 {
                        tracing::warn!(sha256, %error, "cannot fetch a program's file");
                    }
                    *count = count.saturating_add(1);
                    *next = Instant::now() + pause(*count);
                }
            }
        }
        Ok(())
    }

    /// What this node lacks or has damaged, or cannot read: the attempt to fetch that logs why. Each content is read once by
    /// each process: a disk may lose some.
    async fn lacking(&self, needed: BTreeSet<Content>) -> Result<Vec<Content>, String> {
        let artifacts = self.node.artifacts().clone();
        let look = move || -> Vec<Content> { needed.into_iter().filter(|content| !has(&artifacts, content)).collect() };
        tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())
    }
}

/// Whether a content is certainly on this node's disk.
fn has(own: &Artifacts, content: &Content) -> bool {
    // The name in a record may be none of a content.
    artifacts::content(&content.sha256, content.size, content.mode).is_ok() && matches!(own.has(content), Ok(true))
}

fn pause(failures: u32) -> Duration {
    PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(10))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_that_cannot_be_read_counts_as_lacking() {
        let data = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(data.path());
        let content = Content { sha256: blobs::name(b"x"), size: 1, mode: 0o755 };
        artifacts.write(&content, b"x").unwrap();
        assert!(has(&artifacts, &content));
        let other = Content { sha256: "0".repeat(64), size: 1, mode: 0o755 };
        fs_err::create_dir(data.path().join("artifacts").join(format!("{}-755", other.sha256))).unwrap();
        assert!(!has(&artifacts, &other), "a folder is in its place");
        let path = data.path().join("own-755");
        fs_err::write(&path, "xy").unwrap();
        assert!(!has(&artifacts, &Content { sha256: data.path().join("own").display().to_string(), ..content }));
        assert!(path.exists(), "a name that is no checksum leads nowhere");
    }
}
