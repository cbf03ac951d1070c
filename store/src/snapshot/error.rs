//! Why a snapshot cannot be read.

use std::io;

/// Why a snapshot cannot be read. Whoever opened it knows its name and adds it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The source failed.
    #[error("could not read the snapshot")]
    Io(#[source] io::Error),
    /// It begins with something else.
    #[error("not a snapshot of a store")]
    NotASnapshot,
    /// It was written by a later version.
    #[error("the snapshot has format {found}; this version reads formats up to {known}")]
    NewerFormat {
        /// As in the header.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// It ends too early.
    #[error("the snapshot is truncated after {bytes} bytes")]
    Truncated {
        /// What was there.
        bytes: u64,
    },
    /// Something follows the end.
    #[error("unexpected data after the end of the snapshot")]
    TrailingData,
    /// A record breaks a rule.
    #[error("record {record} of the snapshot is damaged: {reason}")]
    Damaged {
        /// Counted from 0.
        record: u64,
        /// The rule.
        reason: String,
    },
    /// All records could be read, but are not those that were written.
    #[error("checksum mismatch of the snapshot: {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Of what was read.
        found: u32,
        /// As in the snapshot.
        expected: u32,
    },
}
