//! Snapshot files.
//!
//! A file is written under a temporary name, made durable, renamed, and the folder made durable; then its name is
//! recorded in the database, and only then are older files removed. So at any moment the recorded file is complete.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use disco_store::{Limits, Store};
use fs_err as fs;

use super::codec;
use super::space::Space;
use super::types::SnapshotMeta;

/// First bytes of every snapshot file; the digit is the format's version. In version 2 the head carries a checksum, as
/// the store's own part always did.
const MAGIC: &[u8; 12] = b"discosnap-2\n";
const MAGIC_1: &[u8; 12] = b"discosnap-1\n";
/// Space left free on the disk when a snapshot is written: for the log, and for what the store does not count
/// (remembered answers, 2 MiB at most).
const SPARE: u64 = 4 << 20;
/// No membership is larger; a longer head is a damaged file.
const MAX_HEAD_BYTES: u32 = 4 * 1024 * 1024;
const PARTIAL_SUFFIX: &str = ".tmp";

/// A snapshot on disk: openraft's description, then the store.
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    /// Path of the file.
    pub path: PathBuf,
}

/// The folder of a node's snapshots.
#[derive(Clone, Debug)]
pub struct SnapshotDir {
    path: PathBuf,
    space: Space,
}

// === impl SnapshotDir ===

impl SnapshotDir {
    /// Opens or creates the folder and clears what an interrupted write left.
    pub(super) fn open(path: PathBuf, space: Space) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        for entry in fs::read_dir(&path)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(PARTIAL_SUFFIX) {
                fs::remove_file(&path)?;
            }
        }
        Ok(Self { path, space })
    }

    /// Whether there is no snapshot.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(!fs::read_dir(&self.path)?.flatten().any(|entry| is_whole(&entry.path())))
    }

    /// Writes a snapshot and returns its durable file. Waits for disk space.
    pub(super) fn write(&self, meta: &SnapshotMeta, store: &Store) -> io::Result<SnapshotFile> {
        let head = codec::seal(&codec::encode(meta)?);
        let head_len = u32::try_from(head.len()).map_err(io::Error::other)?;
        let partial = self.partial();
        let write = || {
            let mut file = BufWriter::new(fs::File::create(&partial)?);
            file.write_all(MAGIC)?;
            file.write_all(&head_len.to_be_bytes())?;
            file.write_all(&head)?;
            store.encode_snapshot(&mut file)?;
            file.flush()
        };
        self.space.insist("writing a snapshot", || {
            self.space.require(store.size_bytes() + SPARE)?;
            write().inspect_err(|_| {
                // The partial file takes space for nothing; another attempt recreates it.
                let _ = fs::remove_file(&partial);
            })
        })?;
        self.keep(&partial, meta)
    }

    /// A fresh path for a file that is being received.
    #[must_use]
    pub fn partial(&self) -> PathBuf {
        self.path.join(format!("{}{PARTIAL_SUFFIX}", uuid::Uuid::new_v4().simple()))
    }

    /// Makes a partial file durable under its final name.
    pub(super) fn keep(&self, partial: &Path, meta: &SnapshotMeta) -> io::Result<SnapshotFile> {
        fs::File::open(partial)?.sync_all()?;
        let name = match &meta.last_log_id {
            Some(id) => format!("{:020}-{:020}.snapshot", id.committed_leader_id().term, id.index),
            None => "empty.snapshot".to_owned(),
        };
        let path = self.path.join(name);
        fs::rename(partial, &path)?;
        fs::File::open(&self.path)?.sync_all()?;
        Ok(SnapshotFile { path })
    }

    /// The file with a recorded name.
    pub(super) fn named(&self, name: &str) -> SnapshotFile {
        SnapshotFile { path: self.path.join(name) }
    }

    /// Removes all complete files but the given one. A file that cannot be removed only takes space, and is retried
    /// next time.
    pub(super) fn remove_others(&self, retained: &SnapshotFile) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if is_whole(&path)
                && path != retained.path
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(%error, "cannot delete an old snapshot");
            }
        }
    }
}

// === impl SnapshotFile ===

impl SnapshotFile {
    /// The file's name as recorded.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Reads only openraft's description of it.
    pub(super) fn read_meta(&self) -> io::Result<SnapshotMeta> {
        read_head(&mut BufReader::new(fs::File::open(&self.path)?))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))
    }

    /// Reads the whole file.
    pub(super) fn read(&self, limits: Limits) -> io::Result<(SnapshotMeta, Store)> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        let mut file = BufReader::new(fs::File::open(&self.path)?);
        let meta = read_head(&mut file).map_err(named)?;
        let store = Store::decode_snapshot(limits, &mut file)
            .map_err(|error| named(io::Error::new(io::ErrorKind::InvalidData, error.to_string())))?;
        Ok((meta, store))
    }
}

fn is_whole(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "snapshot")
}

fn read_head(file: &mut impl Read) -> io::Result<SnapshotMeta> {
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic)?;
    if &magic != MAGIC && &magic != MAGIC_1 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "unknown version of the snapshot format"));
    }
    let mut head_len = [0; 4];
    file.read_exact(&mut head_len)?;
    let head_len = u32::from_be_bytes(head_len);
    if head_len > MAX_HEAD_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "damaged head"));
    }
    let mut head = vec![0; head_len as usize];
    file.read_exact(&mut head)?;
    codec::decode(if &magic == MAGIC { codec::unseal(&head, "the head")? } else { &head })
}
