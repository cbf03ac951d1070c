//! The Raft log on a disk.
//!
//! Entries are readable as soon as `append` returns and durable once its callback is called; until they are stored
//! they are held in memory. So are the last few stored entries, where replication reads.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::async_runtime::AsyncRuntime;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::codec;
use super::disk::{Change, Disk, meta};
use super::types::{Entry, LogId, TypeConfig, Vote};

/// Entries that stay in memory although they are stored, by count and by bytes, for followers that are nearly
/// up to date.
const TAIL_ENTRIES: usize = 128;
const TAIL_BYTES: usize = 256 * 1024;

/// Bytes of commands past which a replication message takes no further entry.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// Growth of the log that triggers a notification.
const STEP_BYTES: u64 = 256 * 1024;

/// The log of one node.
#[derive(Clone)]
pub struct LogStore<D> {
    disk: D,
    tail: Arc<Mutex<Tail>>,
    appended: Arc<AtomicU64>,
    grown: Arc<Notify>,
}

/// The newest entries, without a gap up to the last one, and the log's ends.
#[derive(Default)]
struct Tail {
    entries: BTreeMap<u64, Arc<[u8]>>,
    bytes: usize,
    last: Option<LogId>,
    purged: Option<LogId>,
    /// The latest committed index, which may not be on disk yet.
    committed: Option<LogId>,
}

// === impl LogStore ===

impl<D: Disk> LogStore<D> {
    /// Opens the log on the disk.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(disk: D) -> io::Result<Self> {
        let purged = disk.get(meta::PURGED)?.map(|bytes| codec::decode::<LogId>(&bytes)).transpose()?;
        let last = disk.last()?;
        let last = match last {
            Some((index, bytes)) => Some(decode_entry(index, &bytes)?.log_id()),
            None => purged,
        };
        let tail = Tail { last, purged, ..Tail::default() };
        Ok(Self { disk, tail: Arc::new(Mutex::new(tail)), appended: Arc::default(), grown: Arc::default() })
    }

    /// Bytes appended since the process started.
    pub(super) fn appended_bytes(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Returns once [`STEP_BYTES`] more were appended.
    pub(super) async fn grown(&self) {
        self.grown.notified().await;
    }

    /// Id of the last entry.
    #[must_use]
    pub fn last(&self) -> Option<LogId> {
        self.tail.lock().last
    }

    /// Whether nothing was ever written: only such a node may initialise a cluster or join one.
    ///
    /// # Errors
    /// The vote cannot be read.
    pub fn is_pristine(&self) -> io::Result<bool> {
        Ok(self.tail.lock().last.is_none() && self.disk.get(meta::VOTE)?.is_none())
    }
    /// The entries in the range, from memory where they are there.
    fn entries(&self, range: impl RangeBounds<u64>) -> io::Result<Vec<Entry>> {
        let start = range.start_bound().cloned();
        let end = range.end_bound().cloned();
        let first = match start {
            Bound::Included(first) => first,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let empty = match end {
            Bound::Included(last) => last < first,
            Bound::Excluded(after) => after <= first,
            Bound::Unbounded => false,
        };
        if empty {
            return Ok(Vec::new());
        }
        let cached: Vec<(u64, Arc<[u8]>)> = {
            let tail = self.tail.lock();
            tail.entries.range((Bound::Included(first), end)).map(|(index, bytes)| (*index, bytes.clone())).collect()
        };
        let mut entries = Vec::new();
        // Entries before the tail come from disk. The tail holds everything that is not durable.
        let disk_end = cached.first().map_or(end, |(index, _)| Bound::Excluded(*index));
        let disk_is_empty = matches!(disk_end, Bound::Excluded(after) if after <= first);
        if !disk_is_empty {
            for (index, bytes) in self.disk.range(Bound::Included(first), disk_end)? {
                entries.push(decode_entry(index, &bytes)?);
            }
        }
        for (index, bytes) in cached {
            entries.push(decode_entry(index, &bytes)?);
        }
        Ok(entries)
    }

    /// Records how far the log is committed, once something else becomes durable.
    pub(super) async fn commit(&self, committed: LogId) -> io::Result<()> {
        self.tail.lock().committed = Some(committed);
        self.disk.submit(Change::Committed(codec::encode(&committed)?), None).await
    }

    /// Removes all entries up to this one.
    pub(super) async fn purge_upto(&self, log_id: LogId) -> io::Result<()> {
        {
            let mut tail = self.tail.lock();
            tail.purge_upto(log_id.index);
            tail.purged = Some(log_id);
            if tail.last.is_none_or(|last| last.index < log_id.index) {
                tail.last = Some(log_id);
            }
        }
        self.disk.write(Change::Purge { upto: log_id.index, last: codec::encode(&log_id)? }).await
    }
}

// === impl Tail ===

impl Tail {
    fn push(&mut self, index: u64, bytes: Arc<[u8]>) {
        self.bytes += bytes.len();
        if let Some(old) = self.entries.insert(index, bytes) {
            self.bytes -= old.len();
        }
    }

    /// Drops the oldest entries beyond the bounds that are below this index.
    fn trim(&mut self, stored: u64) {
        while self.entries.len() > TAIL_ENTRIES || self.bytes > TAIL_BYTES {
            match self.entries.first_key_value() {
                Some((index, _)) if *index < stored => {
                    if let Some((_, bytes)) = self.entries.pop_first() {
                        self.bytes -= bytes.len();
                    }
                }
                _ => return,
            }
        }
    }

    fn truncate_from(&mut self, first: u64) {
        let removed = self.entries.split_off(&first);
        self.bytes -= removed.values().map(|bytes| bytes.len()).sum::<usize>();
    }

    fn purge_upto(&mut self, upto: u64) {
        let retained = self.entries.split_off(&(upto + 1));
        self.entries = retained;
        self.bytes = self.entries.values().map(|bytes| bytes.len()).sum();
    }
}

impl<R: AsyncRuntime, D: Disk> RaftLogReader<TypeConfig<R>> for LogStore<D> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.entries(range)
    }

    /// The entries of one replication message: at least one, and not more bytes than a message should have.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let mut entries = self.entries(start..end)?;
        let mut bytes = 0;
        let fitting = entries.iter().take_while(|entry| {
            let before = bytes;
            bytes += payload_bytes(entry);
            before < MESSAGE_BYTES
        });
        let count = fitting.count();
        entries.truncate(count);
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.disk.get(meta::VOTE)?.map(|bytes| codec::decode(&bytes)).transpose()
    }
}

impl<R: AsyncRuntime, D: Disk> RaftLogStorage<TypeConfig<R>> for LogStore<D> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig<R>>> {
        let tail = self.tail.lock();
        Ok(LogState { last_purged_log_id: tail.purged, last_log_id: tail.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.disk.write(Change::Set(meta::VOTE, codec::encode(vote)?)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        match committed {
            Some(committed) => self.commit(committed).await,
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        if let Some(committed) = self.tail.lock().committed {
            return Ok(Some(committed));
        }
        self.disk.get(meta::COMMITTED)?.map(|bytes| codec::decode(&bytes)).transpose()
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig<R>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut encoded: Vec<(u64, Arc<[u8]>)> = Vec::new();
        let mut last = None;
        for entry in entries {
            let bytes: Arc<[u8]> = codec::encode(&entry)?.into();
            last = Some(entry.log_id());
            let before = self.appended.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if before / STEP_BYTES != (before + bytes.len() as u64) / STEP_BYTES {
                self.grown.notify_one();
            }
            encoded.push((entry.log_id().index, bytes));
        }
        let Some(last) = last else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        {
            let mut tail = self.tail.lock();
            for (index, bytes) in &encoded {
                tail.push(*index, bytes.clone());
            }
            tail.last = Some(last);
        }
        let (tail, disk) = (self.tail.clone(), self.disk.clone());
        let done = Box::new(move |result: io::Result<()>| {
            if result.is_ok() {
                tail.lock().trim(disk.stored());
            }
            callback.io_completed(result);
        });
        self.disk.submit(Change::Append(encoded), Some(done)).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let first = last_log_id.map_or(0, |id| id.index + 1);
        {
            let mut tail = self.tail.lock();
            if tail.last.is_none_or(|last| last.index < first) {
                return Ok(());
            }
            tail.truncate_from(first);
            tail.last = last_log_id.or(tail.purged);
        }
        self.disk.write(Change::TruncateFrom(first)).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.purge_upto(log_id).await
    }
}

/// The entry, which must be the one at this index of the log.
pub(super) fn decode_entry(index: u64, bytes: &[u8]) -> io::Result<Entry> {
    let entry: Entry = codec::decode(bytes)?;
    if entry.log_id().index != index {
        let what = format!("the log is damaged: entry {index} contains entry {}", entry.log_id());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(entry)
}

/// Bytes of the entry's command.
#[must_use]
pub fn payload_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(request) => request.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}
