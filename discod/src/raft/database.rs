//! The node's database file: log entries, vote, committed index, name of the newest snapshot.
//!
//! One thread owns all writes. It takes every job that waits, performs them in order in one transaction, makes them
//! durable with a single fsync and only then answers each of them: so the cost of an fsync is shared by all that came in
//! while the previous one ran. The committed index is a hint that may lag (openraft asks for no more), so it never causes
//! an fsync of its own but goes along with the next job that does.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Page cache of the database, in bytes: the log is read back only by followers that lag.
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Jobs that may wait for the writer before those who ask have to.
const QUEUE: usize = 1024;
/// Jobs that are made durable together.
const BATCH: usize = 256;

/// Keys of the `meta` table. Append-only: a released name keeps its meaning.
pub(super) mod meta {
    pub(in crate::raft) const VOTE: &str = "vote";
    pub(in crate::raft) const COMMITTED: &str = "committed";
    pub(in crate::raft) const PURGED: &str = "purged";
    pub(in crate::raft) const SNAPSHOT: &str = "snapshot";
}

/// Called when the job is durable, or failed.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// One change of the database.
pub(super) enum Change {
    /// Entries by index.
    Append(Vec<(u64, Arc<[u8]>)>),
    /// Removes all entries from the index on.
    TruncateFrom(u64),
    /// Removes all entries up to the index, and records the encoded id of the last of them.
    Purge { upto: u64, last: Vec<u8> },
    /// Sets a value of the `meta` table.
    Set(&'static str, Vec<u8>),
}

struct Job {
    change: Change,
    done: Option<Done>,
}

/// Handle of the database: reads go to the file, changes to the writer thread.
#[derive(Clone)]
pub(super) struct LogDatabase {
    database: Arc<Database>,
    jobs: mpsc::Sender<Job>,
}

// === impl LogDatabase ===

impl LogDatabase {
    /// Opens or creates the file and starts its writer.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let named = |error: redb::Error| io::Error::other(format!("{}: {error}", path.display()));
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create(path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                io::Error::new(io::ErrorKind::AddrInUse, format!("{}: another process has it open", path.display()))
            }
            other => named(other.into()),
        })?;
        let write = database.begin_write().map_err(|error| named(error.into()))?;
        write.open_table(LOG).map_err(|error| named(error.into()))?;
        write.open_table(META).map_err(|error| named(error.into()))?;
        write.commit().map_err(|error| named(error.into()))?;
        let database = Arc::new(database);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = database.clone();
        std::thread::Builder::new()
            .name("raft-log".into())
            .stack_size(256 * 1024)
            .spawn(move || run_writer(&writer, queue))?;
        Ok(Self { database, jobs })
    }

    /// Hands a change to the writer; `done` is called when it is durable.
    pub(super) async fn submit(&self, change: Change, done: Option<Done>) -> io::Result<()> {
        self.jobs.send(Job { change, done }).await.map_err(|_| io::Error::other("the log's writer has ended"))
    }

    /// Performs a change and waits until it is durable.
    pub(super) async fn write(&self, change: Change) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        let done: Done = Box::new(move |result| {
            // Who asked may have given up waiting.
            let _ = sender.send(result);
        });
        self.submit(change, Some(done)).await?;
        receiver.await.map_err(|_| io::Error::other("the log's writer has ended"))?
    }

    /// A value of the `meta` table.
    pub(super) fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let read = self.database.begin_read().map_err(io::Error::other)?;
        let table = read.open_table(META).map_err(io::Error::other)?;
        let value = table.get(key).map_err(io::Error::other)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// The entry with the highest index.
    pub(super) fn last(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let read = self.database.begin_read().map_err(io::Error::other)?;
        let table = read.open_table(LOG).map_err(io::Error::other)?;
        let last = table.last().map_err(io::Error::other)?;
        Ok(last.map(|(index, value)| (index.value(), value.value().to_vec())))
    }

    /// Entries in the range, ascending.
    pub(super) fn range(&self, start: Bound<u64>, end: Bound<u64>) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let read = self.database.begin_read().map_err(io::Error::other)?;
        let table = read.open_table(LOG).map_err(io::Error::other)?;
        let mut entries = Vec::new();
        for item in table.range((start, end)).map_err(io::Error::other)? {
            let (index, value) = item.map_err(io::Error::other)?;
            entries.push((index.value(), value.value().to_vec()));
        }
        Ok(entries)
    }
}

/// Takes jobs until all handles are gone.
fn run_writer(database: &Database, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        // Only hints: they wait for something that needs an fsync anyway.
        let durable = batch.iter().any(|job| !matches!(job.change, Change::Set(meta::COMMITTED, _)));
        let result = perform(database, &batch, durable);
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

/// Performs the jobs in order in one transaction.
fn perform(database: &Database, batch: &[Job], durable: bool) -> io::Result<()> {
    let mut write = database.begin_write().map_err(io::Error::other)?;
    write.set_durability(if durable { Durability::Immediate } else { Durability::None }).map_err(io::Error::other)?;
    {
        let mut log = write.open_table(LOG).map_err(io::Error::other)?;
        let mut meta = write.open_table(META).map_err(io::Error::other)?;
        for job in batch {
            match &job.change {
                Change::Append(entries) => {
                    for (index, bytes) in entries {
                        log.insert(index, bytes.as_ref()).map_err(io::Error::other)?;
                    }
                }
                Change::TruncateFrom(index) => {
                    log.retain_in(*index.., |_, _| false).map_err(io::Error::other)?;
                }
                Change::Purge { upto, last } => {
                    log.retain_in(..=*upto, |_, _| false).map_err(io::Error::other)?;
                    meta.insert(meta::PURGED, last.as_slice()).map_err(io::Error::other)?;
                }
                Change::Set(key, value) => {
                    meta.insert(*key, value.as_slice()).map_err(io::Error::other)?;
                }
            }
        }
    }
    write.commit().map_err(io::Error::other)
}
