//! A disk that is only honest about `fsync`.
//!
//! Changes are durable when a sync that began after them has ended, as in the daemon's database: one writer, which makes all
//! waiting changes durable together. At a crash unsynced changes are lost, except for the first few, whose number the seed
//! chooses: changes reach a disk in order but not all of them, and of an append to the log only the first few entries may have
//! reached it (a torn tail).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use disco_consensus::codec;
use disco_consensus::disk::{Change, Done, meta};
use disco_consensus::types::{Entry, LogId, SnapshotMeta, Vote};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

use crate::types::SnapshotBytes;

/// openraft's description of a snapshot, and its bytes.
pub(super) type Content = Arc<(SnapshotMeta, SnapshotBytes)>;

/// One write.
pub(super) enum Write {
    Change(Change),
    /// A snapshot under this name.
    Snapshot(String, Content),
    /// Removes all snapshots except for the one of this name.
    RemoveOthers(String),
}

/// The content of a disk.
#[derive(Clone, Default)]
pub(super) struct Image {
    pub(super) log: BTreeMap<u64, Arc<[u8]>>,
    pub(super) values: BTreeMap<&'static str, Vec<u8>>,
    pub(super) snapshots: BTreeMap<String, Content>,
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
    /// With what is not durable yet.
    seen: Image,
    /// Not durable yet, oldest first.
    waiting: VecDeque<(Write, Option<Done>)>,
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
        for (number, (write, _)) in waiting.into_iter().enumerate() {
            match write {
                write if number < survive => state.durable.apply(&write),
                Write::Change(Change::Append(entries)) if number == survive && !entries.is_empty() => {
                    let torn = state.rng.random_range(0..entries.len());
                    let reached = entries.into_iter().take(torn).collect();
                    state.durable.apply(&Write::Change(Change::Append(reached)));
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
    pub fn durable_vote(&self) -> io::Result<Option<Vote>> {
        self.durable(|image| image.value(meta::VOTE))
    }

    /// The last purged entry, after which the log begins.
    pub fn purged(&self) -> io::Result<Option<LogId>> {
        self.seen(|image| image.value(meta::PURGED))
    }

    /// All entries that are on it, in order.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        self.seen(|image| image.log.values().map(|bytes| codec::decode(bytes)).collect())
    }

    pub(super) fn durable<T>(&self, look: impl FnOnce(&Image) -> T) -> T {
        look(&self.state.lock().durable)
    }

    pub(super) fn seen<T>(&self, look: impl FnOnce(&Image) -> T) -> T {
        look(&self.state.lock().seen)
    }

    /// Submits a write; `done` is called when it is durable, or cannot become so.
    pub(super) fn submit(&self, write: Write, done: Option<Done>) {
        let mut state = self.state.lock();
        state.seen.apply(&write);
        state.waiting.push_back((write, done));
        drop(state);
        self.work.notify_one();
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
                    let synced = state.waiting.drain(..count).map(|(write, done)| {
                        state.durable.apply(&write);
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
    fn apply(&mut self, write: &Write) {
        match write {
            Write::Change(Change::Append(entries)) => self.log.extend(entries.iter().cloned()),
            Write::Change(Change::TruncateFrom(first)) => drop(self.log.split_off(first)),
            Write::Change(Change::Purge { upto, last }) => {
                self.log = self.log.split_off(&(upto + 1));
                self.values.insert(meta::PURGED, last.clone());
            }
            Write::Change(Change::Set(key, value)) => drop(self.values.insert(key, value.clone())),
            Write::Change(Change::Committed(id)) => drop(self.values.insert(meta::COMMITTED, id.clone())),
            Write::Snapshot(name, content) => drop(self.snapshots.insert(name.clone(), content.clone())),
            Write::RemoveOthers(name) => self.snapshots.retain(|other, _| other == name),
        }
    }

    fn value<T: serde::de::DeserializeOwned>(&self, key: &str) -> io::Result<Option<T>> {
        self.values.get(key).map(|bytes| codec::decode(bytes)).transpose()
    }

    /// The entry of this index, or the id that the log was purged up to if that is its index.
    pub(super) fn id(&self, index: u64) -> io::Result<Option<LogId>> {
        match self.log.get(&index) {
            Some(bytes) => Ok(Some(codec::decode::<Entry>(bytes)?.log_id)),
            None => Ok(self.value::<LogId>(meta::PURGED)?.filter(|purged| purged.index == index)),
        }
    }
}
