//! The whole state as a stream of bytes.
//!
//! Eight bytes that say what it is, then records (a varint with the length, then protobuf), then the CRC-32 of all that, four
//! bytes, little end first. Records come in this order: one header, all leases, each key followed by its versions, the
//! changes since the compaction revision, the remembered answers, one end with the number of records before it.
//!
//! Equal stores give equal bytes. Reading trusts nothing: every rule that holds in a store is checked, sizes are bounded before
//! memory is taken, and whatever is cut off or flipped gives an error with the reason.

mod decode;
mod encode;
mod error;
mod record;

pub use error::SnapshotError;

/// First bytes of every snapshot.
const MAGIC: &[u8; 8] = b"disco\0ss";
/// Of the records. A reader knows all versions up to its own.
const FORMAT_VERSION: u32 = 1;
/// More than any record takes: the largest holds one value.
const MAX_RECORD_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests;
