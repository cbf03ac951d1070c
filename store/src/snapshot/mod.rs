//! The whole state as a stream of bytes.
//!
//! Eight magic bytes, then records (a varint with the length, then protobuf), then the CRC-32 of all that, four bytes,
//! little-endian. Records have this order: one header, all leases, each key followed by its versions, the changes since
//! the compaction revision, the remembered answers, one end with the number of records before it.
//!
//! Equal stores yield equal bytes. Decoding trusts nothing: every invariant of a store is checked, sizes are bounded
//! before memory is allocated, and any truncation or flipped bit yields an error with the reason.

mod decode;
mod encode;
mod error;
mod record;

pub use error::SnapshotError;

/// First bytes of every snapshot.
const MAGIC: &[u8; 8] = b"disco\0ss";
/// Version of the records. A reader supports all versions up to its own.
const FORMAT_VERSION: u32 = 1;
/// Larger than any record: the largest holds one value.
const MAX_RECORD_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests;
