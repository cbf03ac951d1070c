//! The node's database file: log entries, vote, committed index, name of the newest snapshot. The newest entries are in
//! its [`journal`], which is applied when the database is opened.
//!
//! Every value carries a checksum, and opening the file checks its whole structure: damage is an error that names the
//! file, and never a different entry. [`log_mark`] shows whether it is the right file, and complete.
//! [`super::log_writer`] writes it.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition};
use tokio::sync::mpsc;

use super::codec;
use super::disk::{Change, Done};
use super::journal::{self, Batch, Journal};
use super::log_file::LogFile;
use super::log_mark::{self, Mark, MarkFile};
use super::log_writer::{self, Job, LogWriter};
use super::space::Space;

pub(super) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Page cache of the database, in bytes: only followers that lag read the log back.
const CACHE_BYTES: usize = 1024 * 1024;
/// Jobs that may queue for the writer before callers have to wait.
const QUEUE: usize = 1024;

/// Keys of the `meta` table. Append-only: a released name keeps its meaning.
pub(super) mod meta {
    pub(crate) use super::super::disk::meta::*;
    /// The log's id, which also implies that every value is sealed.
    pub(crate) const ID: &str = "id";
    /// Number of durable commits.
    pub(crate) const COMMITS: &str = "commits";
}

/// Handle of the database: reads go to the file, changes to the writer thread. Reads may lack only the newest entries,
/// see [`LogDatabase::stored`].
#[derive(Clone)]
pub(super) struct LogDatabase {
    database: Arc<Database>,
    jobs: mpsc::Sender<Job>,
    stored: Arc<AtomicU64>,
}

// === impl LogDatabase ===

impl LogDatabase {
    /// Opens or creates the file, verifies it, and starts its writer.
    pub(super) fn open(path: &Path, space: Space) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let (mark_path, journal_path) = (path.with_file_name(log_mark::FILE), path.with_file_name(journal::FILE));
        log_mark::refuse_if_lost(path, [&mark_path, &journal_path])?;
        let database = open_checked(path, space.clone()).map_err(named)?;
        let mark = identify(&database, &mark_path, &journal_path).map_err(named)?;
        let database = Arc::new(database);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let opened = Self { database: database.clone(), jobs, stored: Arc::default() };
        opened.stored.store(opened.last()?.map_or(0, |(index, _)| index + 1), Ordering::Release);
        let journal = Journal::open(&journal_path, mark.id, space)?;
        let mark_file = MarkFile::open(mark_path, mark)?;
        let stored = opened.stored.clone();
        LogWriter { database, journal, mark: mark_file, commits: mark.commits, stored }.start(queue)?;
        Ok(opened)
    }

    /// Entries below this index are in the database, unless they were purged; later ones can only be read from memory.
    pub(super) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Acquire)
    }

    /// Submits a change to the writer; `done` is called once it is durable.
    pub(super) async fn submit(&self, change: Change, done: Option<Done>) -> io::Result<()> {
        self.jobs.send(Job { change, done }).await.map_err(|_| io::Error::other("the log writer has ended"))
    }

    /// A value of the `meta` table.
    pub(super) fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let read = self.database.begin_read().map_err(io::Error::other)?;
        let table = read.open_table(META).map_err(io::Error::other)?;
        let value = table.get(key).map_err(io::Error::other)?;
        value.map(|value| Ok(codec::unseal(value.value(), key)?.to_vec())).transpose()
    }

    /// The entry with the highest index.
    pub(super) fn last(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let read = self.database.begin_read().map_err(io::Error::other)?;
        let table = read.open_table(LOG).map_err(io::Error::other)?;
        let last = table.last().map_err(io::Error::other)?;
        last.map(|(index, value)| entry(index.value(), value.value())).transpose()
    }

    /// Entries in the range, ascending and without a gap.
    pub(super) fn range(&self, start: Bound<u64>, end: Bound<u64>) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let read = self.database.begin_read().map_err(io::Error::other)?;
        let table = read.open_table(LOG).map_err(io::Error::other)?;
        let mut entries: Vec<(u64, Vec<u8>)> = Vec::new();
        for item in table.range((start, end)).map_err(io::Error::other)? {
            let (index, value) = item.map_err(io::Error::other)?;
            let index = index.value();
            if let Some((last, _)) = entries.last()
                && last + 1 != index
            {
                let what = format!("the log is damaged: entry {index} follows entry {last}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            entries.push(entry(index, value.value())?);
        }
        Ok(entries)
    }
}

fn entry(index: u64, sealed: &[u8]) -> io::Result<(u64, Vec<u8>)> {
    Ok((index, codec::unseal(sealed, &format!("entry {index} of the log"))?.to_vec()))
}

/// Opens the database and checks its structure and all pages' checksums.
fn open_checked(path: &Path, space: Space) -> io::Result<Database> {
    let file = LogFile::open(path, space)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let opened = builder.create_with_backend(file);
    let mut database = opened.map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => {
            io::Error::new(io::ErrorKind::AddrInUse, "another process has it open")
        }
        other => io::Error::other(other),
    })?;
    // redb checks after a crash by itself, but not after a clean shutdown.
    if !database.check_integrity().map_err(io::Error::other)? {
        tracing::warn!(log = %path.display(), "repaired the log's database");
    }
    Ok(database)
}

/// Applies the journal to the database, verifies that this is the expected log, and gives an id to a log without one: a
/// new log, or one of a version without ids and checksums. A refused log stays unchanged.
fn identify(database: &Database, mark_path: &Path, journal_path: &Path) -> io::Result<Mark> {
    let write = database.begin_write().map_err(io::Error::other)?;
    let mark;
    {
        let mut log = write.open_table(LOG).map_err(io::Error::other)?;
        let mut meta = write.open_table(META).map_err(io::Error::other)?;
        let mut own = own_mark(&meta)?;
        let pristine = log.is_empty().map_err(io::Error::other)? && meta.is_empty().map_err(io::Error::other)?;
        let mut ahead = Batch::default();
        if let Some(own) = &mut own {
            for record in journal::read(journal_path, &own.id, own.commits)? {
                own.commits = record.commit;
                ahead.extend(record.batch);
            }
        }
        mark = Mark::check(mark_path, own, pristine)?;
        if own.is_none() {
            seal_old(&mut log, &mut meta)?;
            meta.insert(meta::ID, codec::seal(&mark.id).as_slice()).map_err(io::Error::other)?;
        }
        log_writer::apply(&mut log, &mut meta, &ahead, &[])?;
        let commits = codec::seal(&mark.commits.to_le_bytes());
        meta.insert(meta::COMMITS, commits.as_slice()).map_err(io::Error::other)?;
    }
    write.commit().map_err(io::Error::other)?;
    Ok(mark)
}

/// Adds checksums to the values of a version without them. They are few: old entries go with each snapshot.
fn seal_old(log: &mut Table<'_, u64, &[u8]>, meta: &mut Table<'_, &str, &[u8]>) -> io::Result<()> {
    let mut entries = Vec::new();
    for item in log.iter().map_err(io::Error::other)? {
        let (index, value) = item.map_err(io::Error::other)?;
        entries.push((index.value(), codec::seal(value.value())));
    }
    for (index, sealed) in entries {
        log.insert(index, sealed.as_slice()).map_err(io::Error::other)?;
    }
    for key in [meta::VOTE, meta::COMMITTED, meta::PURGED, meta::SNAPSHOT] {
        let sealed = meta.get(key).map_err(io::Error::other)?.map(|value| codec::seal(value.value()));
        if let Some(sealed) = sealed {
            meta.insert(key, sealed.as_slice()).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// The mark stored in the database itself.
fn own_mark(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> io::Result<Option<Mark>> {
    let value = |key| -> io::Result<Option<Vec<u8>>> {
        let value = meta.get(key).map_err(io::Error::other)?;
        value.map(|value| Ok(codec::unseal(value.value(), key)?.to_vec())).transpose()
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the log's id is damaged");
    let Some(id) = value(meta::ID)? else { return Ok(None) };
    let commits = value(meta::COMMITS)?.ok_or_else(damaged)?;
    let id = id.try_into().map_err(|_| damaged())?;
    let commits = u64::from_le_bytes(commits.try_into().map_err(|_| damaged())?);
    Ok(Some(Mark { id, commits }))
}

#[cfg(test)]
#[path = "database_test.rs"]
mod tests;
