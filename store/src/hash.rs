//! Checksums for comparing nodes.

use std::io;

use crate::{ReadError, Store, read};

/// The checksum of all keys up to a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvHash {
    /// CRC-32. Not the same as etcd's: it compares nodes of one cluster.
    pub hash: u32,
    /// The revision up to which the checksum was computed.
    pub revision: i64,
    /// Two checksums are comparable only if this is equal, too.
    pub compact_revision: i64,
}

impl Store {
    /// The checksum of all retained versions of all keys up to `revision` (0 or less: the newest). Equal on all nodes
    /// that have applied that revision and the same compaction.
    ///
    /// # Errors
    /// The revision is compacted or in the future.
    pub fn hash_kv(&self, revision: i64) -> Result<KvHash, ReadError> {
        read::check_revision(revision, self.revision, self.compact_revision)?;
        let revision = if revision <= 0 { self.revision } else { revision };
        let mut sum = crc32fast::Hasher::new();
        let mut bytes = |bytes: &[u8]| {
            // With lengths, so that different states have different streams of bytes.
            sum.update(&(bytes.len() as u64).to_le_bytes());
            sum.update(bytes);
        };
        for (key, history) in self.keys.iter() {
            for version in history.versions().filter(|version| version.mod_revision <= revision) {
                bytes(key);
                for number in [version.mod_revision, version.create_revision, version.version, version.lease] {
                    bytes(&number.to_le_bytes());
                }
                bytes(&[u8::from(version.is_alive())]);
                bytes(version.value.as_deref().unwrap_or_default());
            }
        }
        Ok(KvHash { hash: sum.finalize(), revision, compact_revision: self.compact_revision })
    }

    /// The checksum of the whole state: CRC-32 of its snapshot. Equal on all nodes that have applied the same commands.
    pub fn hash(&self) -> u32 {
        let mut end = End::default();
        // Nothing is written, so nothing can fail.
        if let Err(error) = self.encode_snapshot(&mut end) {
            unreachable!("a checksum failed: {error}");
        }
        u32::from_le_bytes(end.0)
    }
}

/// Retains the last four bytes, which are a snapshot's own checksum. (A checksum over the whole would be the same for
/// all snapshots: that of anything followed by its own CRC is a constant.)
#[derive(Default)]
struct End([u8; 4]);

impl io::Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in &bytes[bytes.len().saturating_sub(4)..] {
            self.0.rotate_left(1);
            self.0[3] = *byte;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
