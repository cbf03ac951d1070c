//! The newest entries, before they are in the database: a file that is repeatedly overwritten from its start (a redo
//! log).
//!
//! A commit of redb writes a page of each tree that it changes and of each level of it, in different places of its
//! file: eight for a single entry. A record here is one write, to blocks that are already allocated. So entries are
//! first written here, and many of them at once into the database: when the journal is full, or when something other
//! than entries is written.
//!
//! A record begins at a multiple of [`ALIGN`] bytes; numbers have their least significant byte first:
//!
//! ```text
//! checksum, 4 bytes: CRC-32 of all that follows
//! id of the log, 16
//! number of the durable commit, 8
//! length of what follows, 4
//! id up to which the log is committed: length 4, bytes (none: length 0)
//! each entry: index 8, length 4, bytes
//! ```
//!
//! Each record is durable before the next one is written, and commits are numbered without a gap. So the journal ends
//! where the record with the next number does not follow; if that record exists further on, what lies between is
//! damaged.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, BufMut};

use super::codec::{self, CHECKSUM_BYTES};
use super::log_mark::{Id, refused};
use super::space::Space;

/// Name of the file, in the data folder.
pub(super) const FILE: &str = "raft.journal";

/// Length of the file. Its content is also in memory until it is in the database.
const BYTES: usize = 512 << 10;
/// Alignment of records.
const ALIGN: usize = 8;
const HEAD_BYTES: usize = CHECKSUM_BYTES + size_of::<Id>() + 8 + 4;

/// Entries by index, and the encoded id up to which the log is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) entries: Vec<(u64, Arc<[u8]>)>,
    pub(super) committed: Option<Vec<u8>>,
}

/// The content of one durable commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) commit: u64,
    pub(super) batch: Batch,
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    space: Space,
    id: Id,
    /// Offset of the next record.
    place: usize,
    buffer: Vec<u8>,
}

// === impl Batch ===

impl Batch {
    /// Merges a newer batch.
    pub(super) fn extend(&mut self, newer: Self) {
        self.entries.extend(newer.entries);
        self.committed = newer.committed.or(self.committed.take());
    }

    fn encoded_len(&self) -> usize {
        let entries: usize = self.entries.iter().map(|(_, bytes)| 12 + bytes.len()).sum();
        4 + self.committed.as_ref().map_or(0, Vec::len) + entries
    }

    fn encode(&self, into: &mut Vec<u8>) -> io::Result<()> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        let committed = self.committed.as_deref().unwrap_or_default();
        into.put_u32_le(length(committed)?);
        into.put_slice(committed);
        for (index, bytes) in &self.entries {
            into.put_u64_le(*index);
            into.put_u32_le(length(bytes)?);
            into.put_slice(bytes);
        }
        Ok(())
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut batch = Self::default();
        let committed = sized(&mut bytes)?;
        batch.committed = (!committed.is_empty()).then(|| committed.to_vec());
        while bytes.has_remaining() {
            let index = bytes.try_get_u64_le().ok()?;
            batch.entries.push((index, sized(&mut bytes)?.into()));
        }
        Some(batch)
    }
}

/// The bytes that follow their length.
fn sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = bytes.try_get_u32_le().ok()?;
    bytes.split_off(..usize::try_from(length).ok()?)
}

// === impl Journal ===

impl Journal {
    /// Opens or creates the file with its final length, to be written from its start.
    pub(super) fn open(path: &Path, id: Id, space: Space) -> io::Result<Self> {
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        let length = file.metadata()?.len();
        if length < BYTES as u64 {
            // With blocks that were never written, each record would also change the file system's metadata. Page by
            // page: the kernel caches a file in the pieces in which it was written, and counts those as written.
            let page = [0; 4096];
            space.insist("creating the journal", || {
                (length..BYTES as u64).step_by(page.len()).try_for_each(|place| file.write_all_at(&page, place))
            })?;
            file.set_len(BYTES as u64)?;
            file.sync_all()?;
            let folder = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file, space, id, place: 0, buffer: Vec::new() })
    }

    /// Writes a record durably if there is space for it. Returns whether there was.
    pub(super) fn append(&mut self, commit: u64, batch: &Batch) -> io::Result<bool> {
        let length = batch.encoded_len();
        if self.place + HEAD_BYTES + length > BYTES {
            return Ok(false);
        }
        self.buffer.clear();
        self.buffer.put_bytes(0, CHECKSUM_BYTES);
        self.buffer.put_slice(&self.id);
        self.buffer.put_u64_le(commit);
        self.buffer.put_u32_le(u32::try_from(length).map_err(io::Error::other)?);
        batch.encode(&mut self.buffer)?;
        codec::seal_in_place(&mut self.buffer);
        let (file, buffer, place) = (&self.file, &self.buffer, self.place as u64);
        self.space.insist("writing the journal", || file.write_all_at(buffer, place))?;
        // Not retried on failure: lost data stays lost.
        file.sync_data()?;
        self.place = (self.place + self.buffer.len()).next_multiple_of(ALIGN);
        Ok(true)
    }

    /// To be called once the database has the journal's content: the next record is its first.
    pub(super) fn restart(&mut self) {
        self.place = 0;
    }
}

/// The records after the database's last commit, in order.
///
/// # Errors
/// Records are missing, before the first of these or between them.
pub(super) fn read(path: &Path, id: &Id, commits: u64) -> io::Result<Vec<Record>> {
    match fs_err::read(path) {
        Ok(bytes) => decode(&bytes, id, commits),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn decode(bytes: &[u8], id: &Id, commits: u64) -> io::Result<Vec<Record>> {
    let (mut records, mut place, mut newest) = (Vec::new(), 0, None);
    while let Some((record, end)) = record_at(bytes, place, id) {
        if newest.is_some_and(|newest| record.commit != newest + 1) {
            break;
        }
        newest = Some(record.commit);
        place = end.next_multiple_of(ALIGN);
        if record.commit > commits {
            records.push(record);
        }
    }
    if let Some(first) = records.first()
        && first.commit != commits + 1
    {
        let commit = first.commit;
        return Err(refused(format!(
            "the log has lost commits: it ends with commit {commits}, but its journal begins with {commit}"
        )));
    }
    // Anything else found is older: the database has it.
    let newest = newest.unwrap_or(0).max(commits);
    for place in (place..bytes.len()).step_by(ALIGN) {
        if let Some((record, _)) = record_at(bytes, place, id)
            && record.commit > newest
        {
            let commit = record.commit;
            return Err(refused(format!(
                "the journal is damaged: it contains commit {commit}, but not {}",
                newest + 1
            )));
        }
    }
    Ok(records)
}

/// The record that begins at `place`, and where it ends.
fn record_at(bytes: &[u8], place: usize, id: &Id) -> Option<(Record, usize)> {
    let mut rest = bytes.get(place + CHECKSUM_BYTES..)?;
    if rest.split_off(..size_of::<Id>())? != id {
        return None;
    }
    let commit = rest.try_get_u64_le().ok()?;
    let body = sized(&mut rest)?;
    let end = place + HEAD_BYTES + body.len();
    codec::unseal(&bytes[place..end], FILE).ok()?;
    Some((Record { commit, batch: Batch::decode(body)? }, end))
}

#[cfg(test)]
#[path = "journal_test.rs"]
mod tests;
