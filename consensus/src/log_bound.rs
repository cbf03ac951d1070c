//! Bounds the log's bytes.
//!
//! openraft counts entries, which may have any size up to that of a command. This module counts their bytes: once
//! enough have accumulated it triggers a snapshot, and then purges what the snapshot covers, except for a part that
//! saves followers that lag slightly from receiving a whole snapshot. So the log contains at most [`LOG_BYTES`] and
//! [`KEPT_BYTES`], and what arrives while a snapshot is made.

use openraft::async_runtime::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;

use super::log_store::LogStore;
use super::node::OpenRaft;
use super::platform::Platform;

/// Bytes in the log at which a snapshot is made, however few entries they are.
const LOG_BYTES: u64 = 8 << 20;
/// Bytes covered by a snapshot that are retained for followers that lag slightly.
const KEPT_BYTES: u64 = 4 << 20;
/// Entries that are retained in any case.
const KEPT_AT_LEAST: u64 = 16;

/// Keeps the log within its bounds until Raft stops.
pub(super) fn spawn<P: Platform>(raft: &OpenRaft<P>, log: LogStore<P::Disk>) {
    let (raft, metrics) = (raft.clone(), raft.metrics());
    drop(P::Runtime::spawn(async move {
        let mut bound = Bound::default();
        loop {
            // A log that does not grow needs no bound, and an idle node is not woken.
            log.grown().await;
            let now = {
                let metrics = metrics.borrow_watched();
                Log {
                    appended: log.appended_bytes(),
                    last: metrics.last_log_index.unwrap_or(0),
                    snapshot: metrics.snapshot.map_or(0, |id| id.index),
                }
            };
            let done = match bound.next(now) {
                Some(Step::Snapshot) => raft.trigger().snapshot().await,
                Some(Step::Purge(upto)) => raft.trigger().purge_log(upto).await,
                None => Ok(()),
            };
            if done.is_err() {
                // Raft has stopped; other parts of the daemon report it.
                return;
            }
        }
    }));
}

/// The input of the decision.
#[derive(Clone, Copy, Debug, Default)]
struct Log {
    /// Bytes appended since the process started.
    appended: u64,
    /// Index of the last entry.
    last: u64,
    /// Index of the last entry in the newest snapshot.
    snapshot: u64,
}

/// The next step.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Snapshot,
    /// Purge up to this index.
    Purge(u64),
}

#[derive(Debug, Default)]
struct Bound {
    /// The log when a snapshot was last requested here, or at the start of the process.
    requested: Option<Log>,
    /// Entries to retain once a snapshot exists that is newer than the one at that time.
    keep: Option<u64>,
}

// === impl Bound ===

impl Bound {
    fn next(&mut self, now: Log) -> Option<Step> {
        let requested = *self.requested.get_or_insert(now);
        if let Some(keep) = self.keep
            && now.snapshot > requested.snapshot
        {
            self.keep = None;
            return Some(Step::Purge(now.snapshot.saturating_sub(keep)));
        }
        // Also if a requested snapshot has not appeared: openraft makes none as long as nothing was committed.
        let bytes = now.appended.saturating_sub(requested.appended);
        if bytes < LOG_BYTES {
            return None;
        }
        let each = bytes / now.last.saturating_sub(requested.last).max(1);
        self.keep = Some((KEPT_BYTES / each.max(1)).max(KEPT_AT_LEAST));
        self.requested = Some(now);
        Some(Step::Snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_entries_trigger_snapshots_sooner_and_retain_fewer() {
        let mut bound = Bound::default();
        let mut now = Log { appended: 0, last: 100, snapshot: 90 };
        assert_eq!(bound.next(now), None);
        now = Log { appended: LOG_BYTES - 1, last: 107, snapshot: 90 };
        assert_eq!(bound.next(now), None);
        now = Log { appended: LOG_BYTES, last: 108, snapshot: 90 };
        assert_eq!(bound.next(now), Some(Step::Snapshot));
        // Not again before it exists.
        assert_eq!(bound.next(now), None);
        now.snapshot = 108;
        assert_eq!(bound.next(now), Some(Step::Purge(108 - KEPT_AT_LEAST)));
        assert_eq!(bound.next(now), None);
    }

    #[test]
    fn small_entries_are_retained_by_their_bytes() {
        let mut bound = Bound::default();
        bound.next(Log::default());
        let mut now = Log { appended: LOG_BYTES, last: LOG_BYTES / 1024, snapshot: 0 };
        assert_eq!(bound.next(now), Some(Step::Snapshot));
        now.snapshot = now.last;
        assert_eq!(bound.next(now), Some(Step::Purge(now.last - KEPT_BYTES / 1024)));
    }

    #[test]
    fn a_missing_snapshot_is_requested_again() {
        let mut bound = Bound::default();
        bound.next(Log::default());
        for round in 1..4 {
            let now = Log { appended: LOG_BYTES * round, last: 8 * round, snapshot: 0 };
            assert_eq!(bound.next(now), Some(Step::Snapshot), "round {round}");
        }
    }
}
