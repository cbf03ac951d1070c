//! The log's database file, with its blocks reserved before they are written.
//!
//! redb writes into a file that it has extended before. On a full disk such a write would fail in the middle of a
//! commit, after which the database is unusable. So the blocks are allocated when the file grows, where waiting for
//! space is harmless, together with some beyond its end: votes and the cluster's own records find space even after
//! other data has filled the disk.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use rustix::fs::FallocateFlags;

use super::space::Space;

/// Bytes that remain allocated, however short the file is.
const RESERVE: u64 = 8 << 20;

/// A file on a disk that may be full.
#[derive(Debug)]
pub(super) struct LogFile {
    inner: FileBackend,
    file: File,
    space: Space,
}

// === impl LogFile ===

impl LogFile {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path, space: Space) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let inner = FileBackend::new(file.try_clone()?).map_err(io::Error::other)?;
        let opened = Self { inner, file, space };
        opened.reserve(opened.file.metadata()?.len())?;
        Ok(opened)
    }

    /// Allocates the blocks of a file of this length, and the reserve.
    fn reserve(&self, len: u64) -> io::Result<()> {
        self.space.insist("growing the log", || allocate(&self.file, len.max(RESERVE)))
    }
}

/// Allocates blocks up to the length, which stays as it is.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
        // The file system does not support it: then a write discovers that there is no space.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl StorageBackend for LogFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.len()? {
            self.reserve(len)?;
            return self.inner.set_len(len);
        }
        self.inner.set_len(len)?;
        // Truncating a file frees what was allocated beyond its end. Without the reserve the log only has to wait
        // sooner.
        if let Err(error) = allocate(&self.file, len.max(RESERVE)) {
            tracing::debug!(%error, "cannot allocate the log's reserve");
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        // Not retried on failure: lost data stays lost.
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.space.insist("writing the log", || self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
