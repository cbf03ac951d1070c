//! The thread that writes the log.
//!
//! It takes all waiting jobs, performs them in order, makes them durable with a single fsync and only then answers each
//! of them: so all jobs that arrived during the previous fsync share the next. New entries go to the journal while it
//! has space; with any other job, the journal's content goes into the database in one transaction. The committed index
//! is a hint that may lag (openraft requires no more), so it never causes a write by itself but is written with the
//! next job that does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, ReadableTable, Table};
use tokio::sync::mpsc;

use super::codec;
use super::database::{LOG, META, meta};
use super::disk::{Change, Done};
use super::journal::{Batch, Journal};
use super::log_mark::MarkFile;

/// Maximum number of jobs that share an fsync.
const JOBS: usize = 256;

/// A change in the writer's queue.
pub(super) struct Job {
    pub(super) change: Change,
    pub(super) done: Option<Done>,
}

/// The state of the thread.
pub(super) struct LogWriter {
    pub(super) database: Arc<Database>,
    pub(super) journal: Journal,
    pub(super) mark: MarkFile,
    /// Durable commits so far.
    pub(super) commits: u64,
    /// Entries below this index are in the database, unless they were purged.
    pub(super) stored: Arc<AtomicU64>,
}

/// Entries and hint of the jobs, if they contain nothing else.
fn only_entries(jobs: &[Job]) -> Option<Batch> {
    let mut batch = Batch::default();
    for job in jobs {
        match &job.change {
            Change::Append(entries) => batch.entries.extend_from_slice(entries),
            Change::Committed(id) => batch.committed = Some(id.clone()),
            Change::TruncateFrom(_) | Change::Purge { .. } | Change::Set(..) => return None,
        }
    }
    Some(batch)
}

// === impl LogWriter ===

impl LogWriter {
    /// Runs on a separate thread until all senders of jobs are gone.
    pub(super) fn start(mut self, queue: mpsc::Receiver<Job>) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("raft-log".into()).stack_size(512 * 1024);
        thread.spawn(move || self.run(queue)).map(|_| ())
    }

    fn run(&mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(JOBS);
        let mut hint = None;
        // The journal's content that is not in the database.
        let mut ahead = Batch::default();
        while queue.blocking_recv_many(&mut jobs, JOBS) > 0 {
            // Only the newest counts.
            if let Some(newest) = jobs.extract_if(.., |job| matches!(job.change, Change::Committed(_))).last() {
                hint = Some(newest);
            }
            if jobs.is_empty() {
                continue;
            }
            jobs.extend(hint.take());
            let result = self.perform_durably(&mut ahead, &jobs);
            if let Err(error) = &result {
                tracing::error!(%error, "writing the log failed");
            }
            for job in jobs.drain(..) {
                if let Some(done) = job.done {
                    done(result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())));
                }
            }
        }
    }

    fn perform_durably(&mut self, ahead: &mut Batch, jobs: &[Job]) -> io::Result<()> {
        let commits = self.commits + 1;
        match only_entries(jobs) {
            Some(batch) if self.journal.append(commits, &batch)? => ahead.extend(batch),
            _ => {
                let stored = perform(&self.database, ahead, jobs, commits)?;
                self.stored.store(stored, Ordering::Release);
                *ahead = Batch::default();
                self.journal.restart();
            }
        }
        self.commits = commits;
        // Only for detecting losses later; a mark that lags claims less than is true.
        if let Err(error) = self.mark.advance(commits) {
            tracing::debug!(%error, "cannot write the log's mark");
        }
        Ok(())
    }
}

/// Applies the journal's content and then the jobs, in order, in one transaction: the durable commit of this number.
/// Returns the index below which the database has all entries.
fn perform(database: &Database, ahead: &Batch, jobs: &[Job], commit: u64) -> io::Result<u64> {
    let write = database.begin_write().map_err(io::Error::other)?;
    let stored;
    {
        let mut log = write.open_table(LOG).map_err(io::Error::other)?;
        let mut meta = write.open_table(META).map_err(io::Error::other)?;
        apply(&mut log, &mut meta, ahead, jobs)?;
        stored = log.last().map_err(io::Error::other)?.map_or(0, |(index, _)| index.value() + 1);
        let number = codec::seal(&commit.to_le_bytes());
        meta.insert(meta::COMMITS, number.as_slice()).map_err(io::Error::other)?;
    }
    write.commit().map_err(io::Error::other)?;
    Ok(stored)
}

/// Applies the journal's content and then the jobs, in order.
pub(super) fn apply(
    log: &mut Table<'_, u64, &[u8]>,
    meta: &mut Table<'_, &str, &[u8]>,
    ahead: &Batch,
    jobs: &[Job],
) -> io::Result<()> {
    insert(log, &ahead.entries)?;
    if let Some(id) = &ahead.committed {
        meta.insert(meta::COMMITTED, codec::seal(id).as_slice()).map_err(io::Error::other)?;
    }
    for job in jobs {
        match &job.change {
            Change::Append(entries) => insert(log, entries)?,
            Change::TruncateFrom(index) => {
                log.retain_in(*index.., |_, _| false).map_err(io::Error::other)?;
            }
            Change::Purge { upto, last } => {
                log.retain_in(..=*upto, |_, _| false).map_err(io::Error::other)?;
                meta.insert(meta::PURGED, codec::seal(last).as_slice()).map_err(io::Error::other)?;
            }
            Change::Set(key, value) => {
                meta.insert(*key, codec::seal(value).as_slice()).map_err(io::Error::other)?;
            }
            Change::Committed(id) => {
                meta.insert(meta::COMMITTED, codec::seal(id).as_slice()).map_err(io::Error::other)?;
            }
        }
    }
    Ok(())
}

fn insert(log: &mut Table<'_, u64, &[u8]>, entries: &[(u64, Arc<[u8]>)]) -> io::Result<()> {
    for (index, bytes) in entries {
        let length = codec::CHECKSUM_BYTES + bytes.len();
        let mut place = log.insert_reserve(index, length).map_err(io::Error::other)?;
        codec::seal_into(place.as_mut(), bytes);
    }
    Ok(())
}
