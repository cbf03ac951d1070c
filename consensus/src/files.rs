//! The daemon's disk: a database with its journal for the log, and a folder of snapshots.

use std::io;
use std::ops::Bound;
use std::path::Path;

use disco_store::{Limits, Store};

use super::database::LogDatabase;
use super::disk::{Change, Disk, Done};
use super::snapshot::{SnapshotDir, SnapshotFile};
use super::space::Space;
use super::types::SnapshotMeta;

/// The files of one node, in its data folder.
#[derive(Clone)]
pub struct Files {
    database: LogDatabase,
    dir: SnapshotDir,
    space: Space,
}

// === impl Files ===

impl Files {
    /// Opens or creates `raft.redb` and `snapshots/`.
    ///
    /// # Errors
    /// They are unusable: unreadable, damaged, or open in another process.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(data_dir)?;
        let space = Space::new(data_dir.to_owned());
        let database = LogDatabase::open(&data_dir.join("raft.redb"), space.clone())?;
        let dir = SnapshotDir::open(data_dir.join("snapshots"), space.clone())?;
        Ok(Self { database, dir, space })
    }

    /// The folder of the snapshots.
    #[must_use]
    pub fn snapshots(&self) -> &SnapshotDir {
        &self.dir
    }

    /// The free space of the disk.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }
}

impl Disk for Files {
    type Snapshot = SnapshotFile;

    fn stored(&self) -> u64 {
        self.database.stored()
    }

    async fn submit(&self, change: Change, done: Option<Done>) -> io::Result<()> {
        self.database.submit(change, done).await
    }

    fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.database.get(key)
    }

    fn last(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        self.database.last()
    }

    fn range(&self, start: Bound<u64>, end: Bound<u64>) -> io::Result<Vec<(u64, Vec<u8>)>> {
        self.database.range(start, end)
    }

    async fn write_snapshot(&self, meta: SnapshotMeta, store: Store) -> io::Result<SnapshotFile> {
        let dir = self.dir.clone();
        blocking(move || dir.write(&meta, &store)).await
    }

    async fn keep_snapshot(
        &self,
        meta: SnapshotMeta,
        received: SnapshotFile,
        limits: Limits,
    ) -> io::Result<(SnapshotFile, Store)> {
        let dir = self.dir.clone();
        blocking(move || {
            let (_, store) = received.read(limits)?;
            let is_partial = received.path.extension().is_some_and(|extension| extension == "tmp");
            let file = if is_partial { dir.keep(&received.path, &meta)? } else { received };
            Ok((file, store))
        })
        .await
    }

    fn read_snapshot(&self, snapshot: &SnapshotFile, limits: Limits) -> io::Result<(SnapshotMeta, Store)> {
        snapshot.read(limits)
    }

    async fn read_meta(&self, snapshot: &SnapshotFile) -> io::Result<SnapshotMeta> {
        let file = snapshot.clone();
        blocking(move || file.read_meta()).await
    }

    fn name(&self, snapshot: &SnapshotFile) -> String {
        snapshot.name()
    }

    fn named(&self, name: &str) -> SnapshotFile {
        self.dir.named(name)
    }

    fn remove_others(&self, retained: &SnapshotFile) {
        self.dir.remove_others(retained);
    }

    fn close(&self) {
        self.space.close();
    }
}

/// Runs file operations outside of the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
