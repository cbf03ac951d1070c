//! The folder of backup files.

use std::io::{self, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use disco_proto::backup;
use disco_proto::v1::BackupHead;
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;

const SUFFIX: &str = ".backup";
const PARTIAL: &str = "new.tmp";

/// The folder of a node's own backups.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// A backup file, described by its name: `NUMBER-rREVISION.backup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBackup {
    /// Name of the file.
    pub name: String,
    /// One more than that of the previous file: no clock determines which is the newest.
    pub number: u64,
    /// Revision of the store.
    pub revision: i64,
    /// Size of the whole file in bytes.
    pub size: u64,
}

// === impl Folder ===

impl Folder {
    /// The folder in this data folder. It is created with the first backup.
    #[must_use]
    pub fn within(data_dir: &Path) -> Self {
        Self { path: data_dir.join("backups") }
    }

    /// All complete files, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<StoredBackup>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut stored = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Some((name, number, revision)) = entry.file_name().to_str().and_then(parse) else { continue };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => {
                    stored.push(StoredBackup { name, number, revision, size: metadata.len() });
                }
                // Just removed, or not a file.
                _ => {}
            }
        }
        stored.sort_by_key(|stored| stored.number);
        Ok(stored)
    }

    /// Adds a file with the store's snapshot that `encode` writes; `encode` returns the number of bytes.
    ///
    /// # Errors
    /// The file cannot be written; nothing is left of it then.
    pub fn add(
        &self,
        head: &BackupHead,
        encode: impl FnOnce(&mut fs::File) -> io::Result<u64>,
    ) -> io::Result<StoredBackup> {
        disco_identity::create_private_dir(&self.path).map_err(io::Error::other)?;
        let number = self.list()?.last().map_or(1, |last| last.number + 1);
        let partial = self.path.join(PARTIAL);
        let written = self.write(&partial, head, encode, number);
        if written.is_err() {
            // The partial file takes space for nothing; the next one overwrites it.
            let _ = fs::remove_file(&partial);
        }
        written
    }

    fn write(
        &self,
        partial: &Path,
        head: &BackupHead,
        encode: impl FnOnce(&mut fs::File) -> io::Result<u64>,
        number: u64,
    ) -> io::Result<StoredBackup> {
        // The file contains all keys: a copy of it must remain readable by its owner only.
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(partial)?;
        let beginning = backup::beginning(head);
        file.write_all(&beginning)?;
        let size = beginning.len() as u64 + encode(&mut file)?;
        file.sync_all()?;
        let name = format!("{number:06}-r{}{SUFFIX}", head.revision);
        fs::rename(partial, self.path.join(&name))?;
        fs::File::open(&self.path)?.sync_all()?;
        Ok(StoredBackup { name, number, revision: head.revision, size })
    }

    /// Removes the oldest files until at most `keep` files with at most `bytes` bytes remain; the newest always
    /// remains.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn prune(&self, keep: usize, bytes: u64) -> io::Result<()> {
        let mut stored = self.list()?;
        let mut total: u64 = stored.iter().map(|stored| stored.size).sum();
        while stored.len() > 1 && (stored.len() > keep || total > bytes) {
            let oldest = stored.remove(0);
            fs::remove_file(self.path.join(&oldest.name))?;
            total -= oldest.size;
        }
        Ok(())
    }

    /// Removes all files.
    ///
    /// # Errors
    /// They cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Opens a listed file: its description, and a reader positioned at the store's snapshot.
    ///
    /// # Errors
    /// The file is gone, cannot be read, or is damaged.
    pub fn open(&self, stored: &StoredBackup) -> io::Result<(BackupHead, BufReader<fs::File>)> {
        let path = self.path.join(&stored.name);
        let mut file = BufReader::new(fs::File::open(&path)?);
        let head = backup::read_beginning(&mut file)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok((head, file))
    }

    /// Time since the newest was written, by the disk's clock; `None` without files. A clock that was set back counts
    /// as now.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let newest = self.list().ok()?.pop()?;
        let written = fs::metadata(self.path.join(newest.name)).and_then(|metadata| metadata.modified()).ok()?;
        Some(written.elapsed().unwrap_or_default())
    }
}

fn parse(name: &str) -> Option<(String, u64, i64)> {
    let (number, revision) = name.strip_suffix(SUFFIX)?.split_once("-r")?;
    Some((name.to_owned(), number.parse().ok()?, revision.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn head(revision: i64) -> BackupHead {
        BackupHead { cluster: "web".into(), revision, size: 5, ..BackupHead::default() }
    }

    fn store(file: &mut fs::File) -> io::Result<u64> {
        file.write_all(b"store").map(|()| 5)
    }

    fn names(folder: &Folder) -> Vec<String> {
        folder.list().unwrap().into_iter().map(|stored| stored.name).collect()
    }

    #[test]
    fn backups_are_pruned_by_count_and_bytes_and_the_newest_remains() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::within(data.path());
        assert_eq!((names(&folder), folder.age()), (Vec::new(), None));
        // After a restore the revision is lower: the order is that of creation.
        for revision in [7, 9, 3] {
            folder.add(&head(revision), store).unwrap();
        }
        assert_eq!(names(&folder), ["000001-r7.backup", "000002-r9.backup", "000003-r3.backup"]);
        let metadata = fs::metadata(folder.path.join("000001-r7.backup")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777, 0o600);
        folder.prune(2, u64::MAX).unwrap();
        assert_eq!(names(&folder), ["000002-r9.backup", "000003-r3.backup"]);
        folder.prune(2, 1).unwrap();
        assert_eq!(names(&folder), ["000003-r3.backup"]);
        assert!(folder.age().unwrap() < Duration::from_secs(60));
        let last = folder.add(&head(4), store).unwrap();
        assert_eq!((last.number, last.name.as_str()), (4, "000004-r4.backup"));
        let (head, mut store) = folder.open(&last).unwrap();
        let mut bytes = Vec::new();
        store.read_to_end(&mut bytes).unwrap();
        assert_eq!((head.revision, bytes.as_slice()), (4, b"store".as_slice()));
        folder.clear().unwrap();
        folder.clear().unwrap();
        assert_eq!(names(&folder), [""; 0]);
    }

    #[test]
    fn other_files_are_not_listed_and_a_partial_backup_is_overwritten() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::within(data.path());
        let first = folder.add(&head(1), store).unwrap();
        for name in ["new.tmp", "notes.txt", "000009.backup", "x-r1.backup"] {
            std::fs::write(data.path().join("backups").join(name), "something else").unwrap();
        }
        assert_eq!(folder.list().unwrap(), [first]);
        assert_eq!(folder.add(&head(2), store).unwrap().number, 2);
        assert!(!data.path().join("backups/new.tmp").exists());
        std::fs::write(data.path().join("backups/000003-r3.backup"), "damaged").unwrap();
        let damaged = folder.list().unwrap().pop().unwrap();
        assert!(folder.open(&damaged).unwrap_err().to_string().contains("000003-r3.backup"));
    }
}
