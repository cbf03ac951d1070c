//! Decoding, with every rule checked.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::Arc,
};

use disco_proto::v1::CommandResponse;
use prost::Message;

use super::{
    FORMAT_VERSION, MAGIC, MAX_RECORD_BYTES, SnapshotError,
    record::{Answer, Change, Header, Key, Kind, Lease, Record, Version},
};
use crate::{Limits, Store, answers::RequestId, history};

impl Store {
    /// Reads a snapshot written by [`encode_snapshot`](Self::encode_snapshot), up to the end of the source.
    ///
    /// # Errors
    /// The source fails, or holds anything but one complete and undamaged snapshot.
    pub fn decode_snapshot(limits: Limits, source: impl Read) -> Result<Self, SnapshotError> {
        let mut records = Records::open(source)?;
        let Kind::Header(header) = records.next()? else { return Err(records.damaged("the header is missing")) };
        let mut loading = Loading::new(limits, &header).map_err(|error| error.at(&records))?;
        loop {
            let before = records.count;
            let kind = records.next()?;
            if let Kind::End(end) = kind {
                if end.records != before {
                    return Err(
                        records.damaged(format!("{} records were written, but the snapshot has {before}", end.records))
                    );
                }
                break;
            }
            loading.take(kind).map_err(|error| error.at(&records))?;
        }
        let store = loading.finish().map_err(|error| error.at(&records))?;
        records.close()?;
        Ok(store)
    }
}

/// Larger than any remembered answer: a transaction of 128 ranges without their pairs has some 5 KiB.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A broken rule, before the record's number is added.
enum Broken {
    Rule(String),
    Format(u32),
}

impl Broken {
    fn at<R>(self, records: &Records<R>) -> SnapshotError {
        match self {
            Self::Rule(reason) => records.damaged(reason),
            Self::Format(found) => SnapshotError::NewerFormat { found, known: FORMAT_VERSION },
        }
    }
}

/// `Ok` if the rule holds.
fn rule(holds: bool, otherwise: &str) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken::Rule(otherwise.to_string())) }
}

/// The order of records; kinds only ever move down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Leases,
    Keys,
    Changes,
    Answers,
}

/// A store that is being loaded.
struct Loading {
    store: Store,
    stage: Stage,
    last_lease: i64,
    /// The key of the following versions.
    key: Option<Vec<u8>>,
    /// Whether `key` has a version yet, and the last one's revision.
    last_version: Option<history::Version>,
    /// Versions that must have a change.
    changes_expected: usize,
    last_change: i64,
}

impl Loading {
    fn new(limits: Limits, header: &Header) -> Result<Self, Broken> {
        if header.format_version > FORMAT_VERSION {
            return Err(Broken::Format(header.format_version));
        }
        rule(header.format_version > 0, "format 0 does not exist")?;
        rule(header.revision >= 1, "the revision is below 1")?;
        // Leaves space to increment: a store adds 1 to its revision.
        rule(header.revision < i64::MAX / 2, "the revision is out of bounds")?;
        rule((0..=header.revision).contains(&header.compact_revision), "the compaction revision is out of bounds")?;
        let mut store = Store::new(limits);
        store.revision = header.revision;
        store.compact_revision = header.compact_revision;
        store.full = header.full;
        Ok(Self {
            store,
            stage: Stage::Leases,
            last_lease: 0,
            key: None,
            last_version: None,
            changes_expected: 0,
            last_change: 0,
        })
    }

    fn take(&mut self, kind: Kind) -> Result<(), Broken> {
        let stage = match kind {
            Kind::Lease(_) => Stage::Leases,
            Kind::Key(_) | Kind::Version(_) => Stage::Keys,
            Kind::Change(_) => Stage::Changes,
            Kind::Answer(_) => Stage::Answers,
            Kind::Header(_) | Kind::End(_) => return rule(false, "the snapshot has a second header"),
        };
        rule(stage >= self.stage, "the records are out of order")?;
        if stage > Stage::Keys && self.stage <= Stage::Keys {
            self.end_key()?;
        }
        self.stage = stage;
        match kind {
            Kind::Lease(lease) => self.lease(&lease),
            Kind::Key(key) => self.start_key(key),
            Kind::Version(version) => self.version(version),
            Kind::Change(change) => self.change(&change),
            Kind::Answer(answer) => self.answer(answer),
            Kind::Header(_) | Kind::End(_) => Ok(()),
        }
    }

    fn lease(&mut self, lease: &Lease) -> Result<(), Broken> {
        rule(lease.id > 0 && lease.ttl > 0, "a lease has no id or no time to live")?;
        let new = self.last_lease < lease.id && self.store.leases.grant(lease.id, lease.ttl, lease.granted_at_ms);
        self.last_lease = lease.id;
        rule(new, "leases are out of order")
    }

    fn start_key(&mut self, key: Key) -> Result<(), Broken> {
        rule(!key.key.is_empty(), "a key is empty")?;
        rule(self.key.as_ref().is_none_or(|last| **last < *key.key), "keys are out of order")?;
        self.end_key()?;
        self.key = Some(key.key.into());
        Ok(())
    }

    fn version(&mut self, version: Version) -> Result<(), Broken> {
        let Some(key) = &self.key else { return rule(false, "a version has no key") };
        let new = history::Version {
            mod_revision: version.mod_revision,
            create_revision: version.create_revision,
            version: version.version,
            lease: version.lease,
            value: version.value.map(|value| Arc::from(&*value)),
        };
        let after = self.last_version.as_ref().map_or(1, |last| last.mod_revision);
        rule(new.mod_revision > after && new.mod_revision <= self.store.revision, "a revision is out of order")?;
        if new.is_alive() {
            rule((2..=new.mod_revision).contains(&new.create_revision), "a key was created after its change")?;
            rule(new.version >= 1 && new.version < i64::MAX / 2, "a version number is out of bounds")?;
            rule(new.lease >= 0, "a lease is out of bounds")?;
        } else {
            rule(new == history::Version::deleted(new.mod_revision), "a deletion has fields of a put")?;
            rule(self.last_version.as_ref().is_none_or(history::Version::is_alive), "a deleted key was deleted")?;
        }
        self.changes_expected += usize::from(new.mod_revision >= self.store.compact_revision);
        self.last_version = Some(new.clone());
        self.store.keys.write(key, new);
        Ok(())
    }

    /// Completes the key, after all its versions: checks what depends on the newest.
    fn end_key(&mut self) -> Result<(), Broken> {
        let Some(key) = &self.key else { return Ok(()) };
        let Some(newest) = self.last_version.take() else { return rule(false, "a key has no version") };
        if let Some((held, _)) = self.store.keys.alive(key) {
            rule(self.store.leases.attach(newest.lease, held), "a key is attached to a missing lease")?;
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<(), Broken> {
        let revision = if change.revision == 0 { self.last_change } else { change.revision };
        rule(revision >= self.last_change.max(1), "changes are out of order")?;
        rule(change.revision == 0 || revision > self.last_change, "a change repeats its revision")?;
        rule(revision >= self.store.compact_revision, "a change was compacted")?;
        let Some((key, history)) = self.store.keys.history(&change.key) else {
            return rule(false, "a change has a missing key");
        };
        rule(history.change_at(revision).is_some(), "a change has no version")?;
        let key = Arc::clone(key);
        self.store.log.push(revision, key);
        self.last_change = revision;
        Ok(())
    }

    fn answer(&mut self, answer: Answer) -> Result<(), Broken> {
        let Ok(id) = RequestId::try_from(&*answer.request_id) else {
            return rule(false, "a request id must have 16 bytes");
        };
        rule(answer.response.len() <= ANSWER_BYTES_MAX, "an answer is too large")?;
        rule(CommandResponse::decode(&*answer.response).is_ok(), "an answer cannot be decoded")?;
        let limits = self.store.limits;
        let new = self.store.answers.insert(id, Vec::from(answer.response).into_boxed_slice(), &limits);
        rule(new, "a command has two answers")
    }

    fn finish(mut self) -> Result<Store, Broken> {
        if self.stage <= Stage::Keys {
            self.end_key()?;
        }
        rule(self.store.log.len() == self.changes_expected, "changes are missing or repeated")?;
        Ok(self.store)
    }
}

/// The records of a source, in order.
struct Records<R> {
    source: BufReader<R>,
    sum: crc32fast::Hasher,
    bytes: u64,
    count: u64,
    buffer: Vec<u8>,
}

impl<R> Records<R> {
    /// An error about the last record.
    fn damaged(&self, reason: impl Into<String>) -> SnapshotError {
        SnapshotError::Damaged { record: self.count.saturating_sub(1), reason: reason.into() }
    }
}

impl<R: Read> Records<R> {
    fn open(source: R) -> Result<Self, SnapshotError> {
        let source = BufReader::with_capacity(64 << 10, source);
        let mut records = Self { source, sum: crc32fast::Hasher::new(), bytes: 0, count: 0, buffer: Vec::new() };
        records.fill(MAGIC.len() as u64)?;
        if records.buffer != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        Ok(records)
    }

    /// Reads that many bytes into the buffer, which grows with the available data and not with the claimed length.
    fn fill(&mut self, length: u64) -> Result<(), SnapshotError> {
        self.buffer.clear();
        let read = (&mut self.source).take(length).read_to_end(&mut self.buffer).map_err(SnapshotError::Io)?;
        self.bytes += read as u64;
        if read as u64 != length {
            return Err(SnapshotError::Truncated { bytes: self.bytes });
        }
        self.sum.update(&self.buffer);
        Ok(())
    }

    fn length(&mut self) -> Result<u64, SnapshotError> {
        let mut length = 0_u64;
        // Four groups of seven bits exceed the length of the largest record.
        for shift in [0, 7, 14, 21] {
            self.fill(1)?;
            let byte = self.buffer.first().copied().unwrap_or_default();
            length |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 && length <= MAX_RECORD_BYTES {
                return Ok(length);
            }
        }
        Err(self.damaged(format!("its length exceeds {MAX_RECORD_BYTES} bytes")))
    }

    fn next(&mut self) -> Result<Kind, SnapshotError> {
        self.count += 1;
        let length = self.length()?;
        self.fill(length)?;
        let record = Record::decode(&*self.buffer).map_err(|error| self.damaged(error.to_string()))?;
        self.buffer.shrink_to(64 << 10);
        record.kind.ok_or_else(|| self.damaged("unknown kind of record"))
    }

    /// After the last record: the checksum, and then nothing.
    fn close(mut self) -> Result<(), SnapshotError> {
        let found = self.sum.clone().finalize();
        self.fill(4)?;
        let expected = u32::from_le_bytes(self.buffer.as_slice().try_into().unwrap_or_default());
        if found != expected {
            return Err(SnapshotError::Checksum { found, expected });
        }
        loop {
            match self.source.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(_) => return Err(SnapshotError::TrailingData),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(SnapshotError::Io(error)),
            }
        }
    }
}
