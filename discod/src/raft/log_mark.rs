//! What is known beside the log about the log: which one it is, and how far it was.
//!
//! A node that has voted and acknowledged entries must never come back under its id without them: the others count on what it
//! holds. So a log that is gone, empty, another one, or older than it was, is an error and not a beginning.
//!
//! The file `log.mark` holds the log's random id and the number of its last durable commit. It is written after each
//! commit, in place and without an fsync: after a crash of the process it is exact, after a power failure it may be behind,
//! which claims less than is true. It is never ahead. So a database that has fewer commits than its mark has lost some that
//! were acknowledged, as it does when its newest pages are damaged: redb then goes back to the commit before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::codec;

/// Name of the file, in the data folder.
pub(super) const FILE: &str = "log.mark";

/// The random id of a log.
pub(super) type Id = [u8; 16];

/// What the file says.
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

    /// Compares what the database says of itself with what is written beside it, and returns the mark that holds from now on.
    /// `own` is `None` for a database that was made just now, or by a version that knew no ids; `pristine` tells these apart.
    pub(super) fn check(path: &Path, own: Option<Self>, pristine: bool) -> io::Result<Self> {
        let beside = read(path)?;
        match (own, beside) {
            (Some(own), Beside::Says(mark)) if own.id == mark.id && own.commits >= mark.commits => Ok(own),
            (Some(own), Beside::Says(mark)) if own.id == mark.id => Err(refused(format!(
                "the log has lost commits: it ends with commit {}, but commit {} was acknowledged",
                own.commits, mark.commits
            ))),
            // Interrupted before the mark was made, or the mark alone was damaged.
            (Some(own), Beside::Nothing | Beside::Damaged) => Ok(own),
            (None, Beside::Nothing) => Ok(Self { id: *uuid::Uuid::new_v4().as_bytes(), commits: 0 }),
            (None, Beside::Damaged) if !pristine => Ok(Self { id: *uuid::Uuid::new_v4().as_bytes(), commits: 0 }),
            (_, _) => Err(refused("this is not the log that the node had: it is empty or was replaced".to_owned())),
        }
    }
}

/// What was found in the file's place.
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

/// Refuses a log file that is missing where there was one, as one of the others tells.
pub(super) fn refuse_if_lost(log: &Path, others: [&Path; 2]) -> io::Result<()> {
    if !log.try_exists()? && (others[0].try_exists()? || others[1].try_exists()?) {
        return Err(refused(format!("the log `{}` is missing", log.display())));
    }
    Ok(())
}

/// That the node must not come back with this log, and what to do.
pub(super) fn refused(what: String) -> io::Error {
    let hint = "put the right file back; if it is lost, remove this node from the cluster (`disco node rm`), empty its \
                data folder, and let it join as a new node";
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}\nhint: {hint}"))
}

// === impl MarkFile ===

impl MarkFile {
    /// Writes the mark durably, unless it is there as it should be, and keeps the file open.
    pub(super) fn open(path: PathBuf, mark: Mark) -> io::Result<Self> {
        // On a full disk nothing could be put in its place, and there is no need to.
        let known = matches!(read(&path)?, Beside::Says(old) if old.id == mark.id);
        if !known {
            disco_identity::write_public(&path, &mark.encode()).map_err(io::Error::other)?;
        }
        let file = File::options().write(true).open(&path)?;
        Ok(Self { file, id: mark.id })
    }

    /// Notes that this commit is durable. In place: as many bytes as before, in one write.
    pub(super) fn advance(&self, commits: u64) -> io::Result<()> {
        self.file.write_all_at(&Mark { id: self.id, commits }.encode(), 0)
    }
}
