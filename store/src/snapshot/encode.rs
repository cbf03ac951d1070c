//! Encoding.

use std::io::{self, Write};

use bytes::Bytes;
use prost::Message;

use super::{
    FORMAT_VERSION, MAGIC,
    record::{Answer, Change, End, Header, Key, Kind, Lease, Record, Version},
};
use crate::{Store, history, shared};

/// Records are buffered up to this size before they are written.
const CHUNK_BYTES: usize = 64 << 10;

impl Store {
    /// Writes the whole state and returns the number of bytes written. Needs little memory beyond the largest value.
    ///
    /// # Errors
    /// `out` fails.
    pub fn encode_snapshot(&self, out: impl Write) -> io::Result<u64> {
        let mut records = Records { out, chunk: MAGIC.to_vec(), sum: crc32fast::Hasher::new(), bytes: 0, count: 0 };
        records.push(Kind::Header(Header {
            format_version: FORMAT_VERSION,
            revision: self.revision,
            compact_revision: self.compact_revision,
            full: self.full,
        }))?;
        for lease in self.leases.iter() {
            let (id, ttl, granted_at_ms) = (lease.id(), lease.ttl(), lease.granted_at_ms());
            records.push(Kind::Lease(Lease { id, ttl, granted_at_ms }))?;
        }
        for (key, history) in self.keys.iter() {
            records.push(Kind::Key(Key { key: Bytes::copy_from_slice(key) }))?;
            for version in history.versions() {
                records.push(Kind::Version(Version::from(version)))?;
            }
        }
        let mut previous = 0;
        for change in self.log.since(0) {
            let revision = if change.revision == previous { 0 } else { change.revision };
            previous = change.revision;
            records.push(Kind::Change(Change { revision, key: Bytes::copy_from_slice(&change.key) }))?;
        }
        for (id, response) in self.answers.iter() {
            records.push(Kind::Answer(Answer {
                request_id: Bytes::copy_from_slice(id),
                response: Bytes::copy_from_slice(response),
            }))?;
        }
        records.finish()
    }
}

impl From<&history::Version> for Version {
    fn from(version: &history::Version) -> Self {
        Self {
            mod_revision: version.mod_revision,
            create_revision: version.create_revision,
            version: version.version,
            lease: version.lease,
            value: version.value.as_ref().map(shared::to_bytes),
        }
    }
}

struct Records<W> {
    out: W,
    chunk: Vec<u8>,
    sum: crc32fast::Hasher,
    bytes: u64,
    count: u64,
}

impl<W: Write> Records<W> {
    fn push(&mut self, kind: Kind) -> io::Result<()> {
        Record { kind: Some(kind) }.encode_length_delimited(&mut self.chunk).map_err(io::Error::other)?;
        self.count += 1;
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sum.update(&self.chunk);
        self.bytes += self.chunk.len() as u64;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        // A value of a megabyte must not hold its memory until the end.
        self.chunk.shrink_to(2 * CHUNK_BYTES);
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.push(Kind::End(End { records: self.count }))?;
        self.flush()?;
        self.out.write_all(&self.sum.finalize().to_le_bytes())?;
        self.out.flush()?;
        Ok(self.bytes + 4)
    }
}
