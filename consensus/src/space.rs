//! Free space on the disk of the data folder.
//!
//! A full disk ends nothing. When little is free (see [`FreeSpace::needed`]) the node refuses clients' writes with the
//! reason; the cluster's own writes use the rest. If even that is used up, writers wait here until space is free again:
//! Raft receives no error, since an error of the disk is fatal to it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Free bytes below which writes are refused: enough for a snapshot of a small store and hours of the cluster's own
/// records. On a disk of less than 128 MiB an eighth of it.
const LOW: u64 = 16 << 20;
const LOW_PART: u64 = 8;
/// Maximum age of a measurement.
const FRESH: Duration = Duration::from_millis(200);
/// Pause between two checks while a writer waits for space.
const LOOK: Duration = Duration::from_millis(100);

/// The disk of one folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Space {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    last: Mutex<Option<(Instant, FreeSpace)>>,
    waiting: AtomicUsize,
    closed: AtomicBool,
}

/// The free space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that this process may still use.
    pub free: u64,
    /// Bytes needed to accept clients' writes.
    pub needed: u64,
    /// Too little for that; once set, until half as much again is free.
    pub low: bool,
    /// A required write waits for space.
    pub exhausted: bool,
}

// === impl Space ===

impl Space {
    /// The disk that the folder is on.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        let (last, waiting, closed) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        Self { inner: Arc::new(Inner { folder, last, waiting, closed }) }
    }

    /// The free space now, or a moment ago.
    #[must_use]
    pub fn room(&self) -> FreeSpace {
        let mut last = self.inner.last.lock();
        let exhausted = self.inner.waiting.load(Ordering::Relaxed) > 0;
        let low = match *last {
            Some((at, room)) if at.elapsed() < FRESH => return FreeSpace { exhausted, ..room },
            Some((_, room)) => room.low,
            None => false,
        };
        // A failed measurement does not count as a full disk.
        let (free, all) = self.measure().unwrap_or((u64::MAX, u64::MAX));
        let needed = LOW.min(all / LOW_PART);
        let room = FreeSpace { free, needed, low: free < if low { needed / 2 * 3 } else { needed }, exhausted };
        if room.low != low {
            match room.low {
                true => tracing::warn!(free_mib = free >> 20, "disk is full: refusing writes"),
                false => tracing::info!(free_mib = free >> 20, "disk has free space again"),
            }
        }
        *last = Some((Instant::now(), room));
        room
    }

    /// Free bytes for this process, and all bytes.
    fn measure(&self) -> io::Result<(u64, u64)> {
        let disk = rustix::fs::statvfs(&self.inner.folder)?;
        Ok((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
    }

    /// Runs work that needs disk space, and repeats it while the disk is full.
    ///
    /// # Errors
    /// Any other error of `work`, or a full disk once the node stops.
    pub(super) fn insist<T>(&self, what: &str, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let mut waits: Option<Waits<'_>> = None;
        loop {
            match work() {
                Err(error) if is_full(&error) && !self.inner.closed.load(Ordering::Relaxed) => {
                    if waits.is_none() {
                        tracing::error!(%error, "waiting for disk space: {what}");
                        waits = Some(Waits::new(self));
                    }
                    std::thread::sleep(LOOK);
                }
                done => {
                    if let Some(waits) = waits {
                        tracing::info!(after = ?waits.since.elapsed(), "no longer waiting for disk space: {what}");
                    }
                    return done;
                }
            }
        }
    }

    /// Fails with "disk full" if fewer bytes are free.
    pub(super) fn require(&self, bytes: u64) -> io::Result<()> {
        match self.measure() {
            Ok((free, _)) if free < bytes => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        }
    }

    /// Ends all waits for space: the node stops.
    pub(super) fn close(&self) {
        self.inner.closed.store(true, Ordering::Relaxed);
    }
}

/// Whether the disk is full, for this user or at all.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Counts as waiting until dropped.
struct Waits<'a> {
    space: &'a Space,
    since: Instant,
}

impl<'a> Waits<'a> {
    fn new(space: &'a Space) -> Self {
        space.inner.waiting.fetch_add(1, Ordering::Relaxed);
        Self { space, since: Instant::now() }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.space.inner.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> io::Error {
        io::Error::from(io::ErrorKind::StorageFull)
    }

    #[test]
    fn writes_are_retried_until_space_is_free() {
        let space = Space::new("/".into());
        let mut tries = 0;
        let done = space.insist("a test", || {
            tries += 1;
            assert_eq!(space.room().exhausted, tries > 1);
            if tries < 3 { Err(full()) } else { Ok(7) }
        });
        assert_eq!((done.unwrap(), tries, space.room().exhausted), (7, 3, false));
        // Another error is returned immediately.
        let denied = space.insist::<()>("a test", || Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn waiting_ends_when_the_node_stops() {
        let space = Space::new("/".into());
        space.close();
        assert_eq!(space.insist::<()>("a test", || Err(full())).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_disk_that_reports_nothing_counts_as_free() {
        assert!(!Space::new("/nowhere/at/all".into()).room().low);
    }
}
