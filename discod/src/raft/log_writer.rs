//! The one thread that writes the log's database.
//!
//! It takes every job that waits, performs them in order in one transaction, makes them durable with a single fsync and only
//! then answers each of them: so the cost of an fsync is shared by all that came in while the previous one ran. The committed
//! index is a hint that may lag (openraft asks for no more), so it never causes a transaction of its own but goes along with the
//! next job that does.

use std::io;
use std::sync::Arc;

use redb::Database;
use tokio::sync::mpsc;

use super::codec;
use super::database::{Change, Done, LOG, META, meta};
use super::log_mark::MarkFile;

/// Jobs that are made durable together.
const BATCH: usize = 256;

/// A change that waits for the writer.
pub(super) struct Job {
    pub(super) change: Change,
    pub(super) done: Option<Done>,
}

/// What the thread works with.
pub(super) struct LogWriter {
    database: Arc<Database>,
    mark: MarkFile,
    /// Durable commits so far.
    commits: u64,
}

// === impl LogWriter ===

impl LogWriter {
    pub(super) fn new(database: Arc<Database>, mark: MarkFile, commits: u64) -> Self {
        Self { database, mark, commits }
    }

    /// Works on a thread of its own until all who could bring jobs are gone.
    pub(super) fn start(mut self, queue: mpsc::Receiver<Job>) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("raft-log".into()).stack_size(256 * 1024);
        thread.spawn(move || self.run(queue)).map(|_| ())
    }

    fn run(&mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut hint = None;
        while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
            // Only the newest counts.
            if let Some(newest) = batch.extract_if(.., |job| matches!(job.change, Change::Committed(_))).last() {
                hint = Some(newest);
            }
            if batch.is_empty() {
                continue;
            }
            batch.extend(hint.take());
            let result = self.perform_durably(&batch);
            if let Err(error) = &result {
                tracing::error!(%error, "writing the log failed");
            }
            for job in batch.drain(..) {
                if let Some(done) = job.done {
                    done(result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())));
                }
            }
        }
    }

    fn perform_durably(&mut self, batch: &[Job]) -> io::Result<()> {
        let commits = self.commits + 1;
        self.perform(batch, commits)?;
        self.commits = commits;
        // Only for finding out later what was lost; a mark that stays behind claims less than is true.
        if let Err(error) = self.mark.advance(commits) {
            tracing::debug!(%error, "the log's mark stays behind");
        }
        Ok(())
    }

    /// Performs the jobs in order in one transaction, which is the durable commit of this number.
    fn perform(&self, batch: &[Job], commit: u64) -> io::Result<()> {
        let write = self.database.begin_write().map_err(io::Error::other)?;
        {
            let mut log = write.open_table(LOG).map_err(io::Error::other)?;
            let mut meta = write.open_table(META).map_err(io::Error::other)?;
            for job in batch {
                match &job.change {
                    Change::Append(entries) => {
                        for (index, bytes) in entries {
                            let length = codec::CHECKSUM_BYTES + bytes.len();
                            let mut place = log.insert_reserve(index, length).map_err(io::Error::other)?;
                            codec::seal_into(place.as_mut(), bytes);
                        }
                    }
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
            let number = codec::seal(&commit.to_le_bytes());
            meta.insert(meta::COMMITS, number.as_slice()).map_err(io::Error::other)?;
        }
        write.commit().map_err(io::Error::other)
    }
}
