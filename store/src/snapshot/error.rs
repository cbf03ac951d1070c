//! Why a snapshot cannot be read.

use std::io;

/// Why a snapshot cannot be read. The caller that opened it adds its name.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The source failed.
    #[error("could not read the snapshot")]
    Io(#[source] io::Error),
    /// It has other magic bytes.
    #[error("not a snapshot of a store")]
    NotASnapshot,
    /// A later version wrote it.
    #[error("the snapshot has format {found}; this version reads formats up to {known}")]
    NewerFormat {
        /// Format in the header.
        found: u32,
        /// Newest supported format.
        known: u32,
    },
    /// It ends too early.
    #[error("the snapshot is truncated after {bytes} bytes")]
    Truncated {
        /// Number of available bytes.
        bytes: u64,
    },
    /// Data follows the end.
    #[error("unexpected data after the end of the snapshot")]
    TrailingData,
    /// A record breaks a rule.
    #[error("record {record} of the snapshot is damaged: {reason}")]
    Damaged {
        /// Number of the record, counted from 0.
        record: u64,
        /// The broken rule.
        reason: String,
    },
    /// All records are readable, but differ from those that were written.
    #[error("checksum mismatch of the snapshot: {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Checksum of the data.
        found: u32,
        /// Checksum in the snapshot.
        expected: u32,
    },
}
