//! A disk that is only honest about `fsync`.
//!
//! Readers see changes at once; changes are durable when a sync that began after them has ended, as in the daemon's
//! database: one writer, which makes all waiting changes durable together. At a crash unsynced changes are lost, except for
//! the first few, whose number the seed chooses: changes reach a disk in order but not all of them, and of an append to the
//! log only the first few entries may have reached it (a torn tail).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

use crate::types::{Entry, LogId, SnapshotBytes, SnapshotMeta, Vote};

/// One change.
pub(super) enum Change {
    Vote(Vote),
    Committed(LogId),
    Append(Vec<Entry>),
    TruncateFrom(u64),
    Purge(LogId),
    Snapshot(Arc<(SnapshotMeta, SnapshotBytes)>),
}

/// Notified when a change is durable, or cannot become so.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The content of a disk.
#[derive(Clone, Default)]
pub(super) struct Image {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    pub(super) log: BTreeMap<u64, Entry>,
    pub(super) snapshot: Option<Arc<(SnapshotMeta, SnapshotBytes)>>,
}

/// A fault of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Each sync takes this long, until further notice.
    Slow(Duration),
    /// The next sync fails, and every one after it until the node starts again.
    Fail,
}

/// A node's disk. It outlives the node's process. Cheap to clone.
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    work: Arc<Notify>,
}

struct State {
    durable: Image,
    seen: Image,
    /// Not durable yet, oldest first.
    waiting: VecDeque<(Change, Option<Done>)>,
    slow: Option<Duration>,
    failing: bool,
    rng: SmallRng,
}

/// A sync of a good disk takes up to this; the mean is that of a cloud volume.
const SYNC: std::ops::RangeInclusive<u64> = 0..=6;

// === impl Disk ===

impl Disk {
    /// An empty one. Times and losses follow from the seed.
    pub fn new(seed: u64) -> Self {
        let state = State {
            durable: Image::default(),
            seen: Image::default(),
            waiting: VecDeque::new(),
            slow: None,
            failing: false,
            rng: SmallRng::seed_from_u64(seed),
        };
        Self { state: Arc::new(Mutex::new(state)), work: Arc::default() }
    }

    /// The process ends: unsynced changes are lost, except for the first few.
    pub fn crash(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let waiting = std::mem::take(&mut state.waiting);
        let survive = state.rng.random_range(0..=waiting.len());
        for (number, (change, _)) in waiting.into_iter().enumerate() {
            match change {
                change if number < survive => state.durable.apply(&change),
                Change::Append(entries) if number == survive && !entries.is_empty() => {
                    let torn = state.rng.random_range(0..entries.len());
                    state.durable.apply(&Change::Append(entries.into_iter().take(torn).collect()));
                    break;
                }
                _ => break,
            }
        }
        state.seen = state.durable.clone();
        state.failing = false;
    }

    /// Everything is lost, as on a replaced machine.
    pub fn wipe(&self) {
        let mut state = self.state.lock();
        state.waiting.clear();
        state.durable = Image::default();
        state.seen = Image::default();
        state.failing = false;
    }

    /// Sets a fault.
    pub fn fault(&self, fault: DiskFault) {
        let mut state = self.state.lock();
        match fault {
            DiskFault::Slow(time) => state.slow = Some(time),
            DiskFault::Fail => state.failing = true,
        }
    }

    /// Removes all faults.
    pub fn mend(&self) {
        self.state.lock().slow = None;
    }

    /// The durable vote.
    pub fn durable_vote(&self) -> Option<Vote> {
        self.state.lock().durable.vote
    }

    /// The last purged entry, after which the log begins.
    pub fn purged(&self) -> Option<LogId> {
        self.state.lock().seen.purged
    }

    /// All entries that are on it, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.state.lock().seen.log.values().cloned().collect()
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Image) -> T) -> T {
        look(&self.state.lock().seen)
    }

    /// Makes a change, which readers see at once; `done` is notified when it is durable.
    pub(super) fn submit(&self, change: Change, done: Option<Done>) {
        let mut state = self.state.lock();
        state.seen.apply(&change);
        state.waiting.push_back((change, done));
        drop(state);
        self.work.notify_one();
    }

    /// Makes a change and returns when it is durable.
    pub(super) async fn write(&self, change: Change) -> io::Result<()> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| {
            // The caller may be gone.
            let _ = sender.send(result);
        });
        self.submit(change, Some(done));
        receiver.await.map_err(io::Error::other)?
    }

    /// The writer: to be run by the node's process as long as it lives.
    pub async fn run(self) {
        loop {
            let (count, time) = {
                let mut state = self.state.lock();
                let usual = Duration::from_millis(state.rng.random_range(SYNC));
                (state.waiting.len(), state.slow.unwrap_or(usual))
            };
            if count == 0 {
                self.work.notified().await;
                continue;
            }
            tokio::time::sleep(time).await;
            let (waiting, failed) = {
                let mut state = self.state.lock();
                let state = &mut *state;
                let waiting: Vec<Option<Done>> = if state.failing {
                    // How much of it was written shows at the next start.
                    state.waiting.iter_mut().map(|(_, done)| done.take()).collect()
                } else {
                    let synced = state.waiting.drain(..count).map(|(change, done)| {
                        state.durable.apply(&change);
                        done
                    });
                    synced.collect()
                };
                (waiting, state.failing)
            };
            for done in waiting.into_iter().flatten() {
                done(if failed { Err(io::Error::other("the disk does not write")) } else { Ok(()) });
            }
            if failed {
                self.work.notified().await;
            }
        }
    }
}

// === impl Image ===

impl Image {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Vote(vote) => self.vote = Some(*vote),
            Change::Committed(id) => self.committed = Some(*id),
            Change::Append(entries) => {
                self.log.extend(entries.iter().map(|entry| (entry.log_id.index, entry.clone())));
            }
            Change::TruncateFrom(first) => drop(self.log.split_off(first)),
            Change::Purge(upto) => {
                self.log = self.log.split_off(&(upto.index + 1));
                self.purged = Some(*upto);
            }
            Change::Snapshot(snapshot) => self.snapshot = Some(snapshot.clone()),
        }
    }

    pub(super) fn last(&self) -> Option<LogId> {
        self.log.values().next_back().map(|entry| entry.log_id).or(self.purged)
    }
}
