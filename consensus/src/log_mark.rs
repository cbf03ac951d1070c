//! What is recorded beside the log about the log: its id, and its number of commits.
//!
//! A node that has voted and acknowledged entries must never return under its id without them: other nodes rely on
//! them. So a log that is missing, empty, a different one, or older than it was, is an error and not a new log.
//!
//! The file `log.mark` contains the log's random id and the number of its last durable commit. It is written after each
//! commit, in place and without an fsync: after a crash of the process it is exact, after a power failure it may lag,
//! which claims less than is true. It is never ahead. So a database with fewer commits than its mark has lost
//! acknowledged ones, as happens when its newest pages are damaged: redb then returns to the previous commit.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::codec;

/// Name of the file, in the data folder.
pub(super) const FILE: &str = "log.mark";

/// The random id of a log.
pub(super) type Id = [u8; 16];

/// The file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: Id,
    pub(super) commits: u64,
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct MarkFile {
    file: File,
    id: Id,
}

// === impl Mark ===

impl Mark {
    fn encode(self) -> Vec<u8> {
        codec::seal(&[self.id.as_slice(), &self.commits.to_le_bytes()].concat())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = codec::unseal(bytes, FILE).ok()?;
        let (id, commits) = bytes.split_at_checked(size_of::<Id>())?;
        Some(Self { id: id.try_into().ok()?, commits: u64::from_le_bytes(commits.try_into().ok()?) })
    }

    /// Compares the database's own mark with the one in the file, and returns the valid mark. `own` is `None` for a new
    /// database, or one of a version without ids; `pristine` distinguishes these.
    pub(super) fn check(path: &Path, own: Option<Self>, pristine: bool) -> io::Result<Self> {
        let beside = read(path)?;
        match (own, beside) {
            (Some(own), Beside::Says(mark)) if own.id == mark.id && own.commits >= mark.commits => Ok(own),
            (Some(own), Beside::Says(mark)) if own.id == mark.id => Err(refused(format!(
                "the log has lost commits: it ends with commit {}, but commit {} was acknowledged",
                own.commits, mark.commits
            ))),
            // Interrupted before the mark was written, or only the mark was damaged.
            (Some(own), Beside::Nothing | Beside::Damaged) => Ok(own),
            (None, Beside::Nothing) => Ok(Self { id: *uuid::Uuid::new_v4().as_bytes(), commits: 0 }),
            (None, Beside::Damaged) if !pristine => Ok(Self { id: *uuid::Uuid::new_v4().as_bytes(), commits: 0 }),
            (_, _) => Err(refused("this is not the log that the node had: it is empty or was replaced".to_owned())),
        }
    }
}

/// The state of the file.
enum Beside {
    Nothing,
    Damaged,
    Says(Mark),
}

fn read(path: &Path) -> io::Result<Beside> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Mark::decode(&bytes).map_or(Beside::Damaged, Beside::Says)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Beside::Nothing),
        Err(error) => Err(error),
    }
}

/// Refuses a missing log file if one of the other files shows that it existed.
pub(super) fn refuse_if_lost(log: &Path, others: [&Path; 2]) -> io::Result<()> {
    if !log.try_exists()? && (others[0].try_exists()? || others[1].try_exists()?) {
        return Err(refused(format!("the log `{}` is missing", log.display())));
    }
    Ok(())
}

/// The error that the node must not return with this log, with the remedy.
pub(super) fn refused(what: String) -> io::Error {
    let hint = "put the right file back; if it is lost, remove this node from the cluster (`disco node rm NODE`), empty its \
                data folder, and let it join as a new node";
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}\nhint: {hint}"))
}

// === impl MarkFile ===

impl MarkFile {
    /// Writes the mark durably, unless it is already correct, and keeps the file open.
    pub(super) fn open(path: PathBuf, mark: Mark) -> io::Result<Self> {
        // On a full disk the file could not be replaced, and need not be.
        let known = matches!(read(&path)?, Beside::Says(old) if old.id == mark.id);
        if !known {
            disco_identity::write_public(&path, &mark.encode()).map_err(io::Error::other)?;
        }
        let file = File::options().write(true).open(&path)?;
        Ok(Self { file, id: mark.id })
    }

    /// Records that this commit is durable. In place: the same number of bytes, in one write.
    pub(super) fn advance(&self, commits: u64) -> io::Result<()> {
        self.file.write_all_at(&Mark { id: self.id, commits }.encode(), 0)
    }
}
