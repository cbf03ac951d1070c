//! Damaged snapshots yield errors with reasons; see `tests/snapshot.rs` for random damage.

use bytes::Bytes;
use disco_proto::v1::{Command, LeaseGrantRequest, PutRequest, command::Operation};
use prost::Message;

use super::{
    record::{Answer, Change, End, Header, Key, Kind, Lease, Record, Version},
    *,
};
use crate::{Limits, Store};

fn store() -> Store {
    let mut store = Store::default();
    let mut apply = |id: u8, operation| {
        let request_id = vec![id; 16].into();
        store.apply(1, &Command { request_id, operation: Some(operation), ..Command::default() });
    };
    apply(1, Operation::LeaseGrant(LeaseGrantRequest { id: 7, ttl: 60 }));
    apply(2, Operation::Put(PutRequest { key: "a".into(), value: "1".into(), lease: 7, ..PutRequest::default() }));
    apply(3, Operation::Put(PutRequest { key: "a".into(), value: "2".into(), ..PutRequest::default() }));
    store
}

fn bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = store().encode_snapshot(&mut bytes).unwrap();
    assert_eq!(written, bytes.len() as u64);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Store, SnapshotError> {
    Store::decode_snapshot(Limits::default(), bytes)
}

/// The same with a corrected checksum, to reach the checks behind it.
fn resummed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let sum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn every_cut_is_noticed() {
    let bytes = bytes();
    for length in 0..bytes.len() {
        let error = decode(&bytes[..length]).unwrap_err();
        assert!(matches!(error, SnapshotError::Truncated { bytes } if bytes == length as u64), "{length}: {error}");
    }
    decode(&bytes).unwrap();
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn the_reason_is_reported() {
    let good = bytes();
    assert_eq!(decode(b"SQLite format 3").unwrap_err().to_string(), "not a snapshot of a store");

    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(decode(&longer).unwrap_err().to_string(), "unexpected data after the end of the snapshot");

    let mut other_value = good.clone();
    let value = other_value.iter().position(|&byte| byte == b'2').unwrap();
    other_value[value] = b'3';
    assert!(matches!(decode(&other_value).unwrap_err(), SnapshotError::Checksum { .. }));
    decode(&resummed(other_value)).unwrap();

    // Length of the header record, then its tag and length, then the tag of the version and the version.
    let mut newer = good.clone();
    assert_eq!(newer[8 + 4], 1);
    newer[8 + 4] = 2;
    let newer = decode(&resummed(newer)).unwrap_err();
    assert_eq!(newer.to_string(), "the snapshot has format 2; this version reads formats up to 1");

    let mut huge = MAGIC.to_vec();
    huge.extend([0xff, 0xff, 0xff, 0x7f, 0, 0]);
    assert_eq!(
        decode(&huge).unwrap_err().to_string(),
        "record 0 of the snapshot is damaged: its length exceeds 4194304 bytes"
    );
}

/// A snapshot of exactly these records.
fn of(kinds: Vec<Kind>) -> Vec<u8> {
    let records = kinds.len() as u64;
    let mut bytes = MAGIC.to_vec();
    for kind in kinds.into_iter().chain([Kind::End(End { records })]) {
        Record { kind: Some(kind) }.encode_length_delimited(&mut bytes).unwrap();
    }
    bytes.extend([0; 4]);
    resummed(bytes)
}

fn header(revision: i64, compact_revision: i64) -> Kind {
    Kind::Header(Header { format_version: 1, revision, compact_revision, full: false })
}

fn key(key: &'static str) -> Kind {
    Kind::Key(Key { key: key.into() })
}

fn version(mod_revision: i64, lease: i64, value: Option<&'static str>) -> Kind {
    let alive = i64::from(value.is_some());
    let value = value.map(Bytes::from);
    Kind::Version(Version { mod_revision, create_revision: 2 * alive, version: alive, lease, value })
}

fn change(revision: i64, key: &'static str) -> Kind {
    Kind::Change(Change { revision, key: key.into() })
}

#[test]
fn records_must_make_a_store() {
    let put = |at| version(at, 0, Some("x"));
    let gone = |at| version(at, 0, None);
    let lease = |id| Kind::Lease(Lease { id, ttl: 1, granted_at_ms: 0 });
    let answer = |id: usize, response: &'static [u8]| {
        Kind::Answer(Answer { request_id: vec![1; id].into(), response: Bytes::from_static(response) })
    };
    decode(&of(vec![
        header(9, 1),
        lease(1),
        key("a"),
        put(2),
        gone(3),
        change(2, "a"),
        change(3, "a"),
        answer(16, b""),
    ]))
    .unwrap();
    decode(&of(vec![header(9, 5), key("a"), put(2)])).unwrap();

    for (kinds, expected) in [
        (vec![key("a"), put(2)], "the header is missing"),
        (vec![header(0, 0)], "the revision is below 1"),
        (vec![header(i64::MAX, 0)], "the revision is out of bounds"),
        (vec![header(2, 3)], "the compaction revision is out of bounds"),
        (vec![header(9, 1), header(9, 1)], "the snapshot has a second header"),
        (vec![header(9, 1), lease(0)], "a lease has no id or no time to live"),
        (vec![header(9, 1), lease(2), lease(1)], "leases are out of order"),
        (vec![header(9, 1), key("a"), put(2), lease(1)], "the records are out of order"),
        (vec![header(9, 1), key("")], "a key is empty"),
        (vec![header(9, 5), key("b"), put(2), key("a"), put(3)], "keys are out of order"),
        (vec![header(9, 5), key("a"), put(2), key("a")], "keys are out of order"),
        (vec![header(9, 1), put(2)], "a version has no key"),
        (vec![header(9, 1), key("a"), key("b")], "a key has no version"),
        (vec![header(9, 1), key("a")], "a key has no version"),
        (vec![header(9, 5), key("a"), put(3), put(3)], "a revision is out of order"),
        (vec![header(9, 5), key("a"), put(10)], "a revision is out of order"),
        (vec![header(9, 5), key("a"), put(1)], "a revision is out of order"),
        (vec![header(9, 5), key("a"), put(2), gone(3), gone(4)], "a deleted key was deleted"),
        (vec![header(9, 5), key("a"), put(2), version(3, 1, None)], "a deletion has fields of a put"),
        (vec![header(9, 5), key("a"), version(3, 7, Some("x"))], "a key is attached to a missing lease"),
        (vec![header(9, 1), key("a"), put(2)], "changes are missing or repeated"),
        (vec![header(9, 1), key("a"), put(2), change(3, "a")], "a change has no version"),
        (vec![header(9, 1), key("a"), put(2), change(2, "b")], "a change has a missing key"),
        (vec![header(9, 1), key("a"), put(2), change(2, "a"), change(0, "a")], "changes are missing or repeated"),
        (vec![header(9, 5), key("a"), put(2), change(2, "a")], "a change was compacted"),
        (vec![header(9, 1), key("a"), put(2), put(3), change(3, "a"), change(2, "a")], "changes are out of order"),
        (vec![header(9, 1), answer(15, b"")], "a request id must have 16 bytes"),
        (vec![header(9, 1), answer(16, b"\xff")], "an answer cannot be decoded"),
        (vec![header(9, 1), answer(16, b""), answer(16, b"")], "a command has two answers"),
    ] {
        let error = decode(&of(kinds.clone())).unwrap_err();
        let SnapshotError::Damaged { reason, .. } = &error else { panic!("{error}") };
        assert_eq!(reason, expected, "{kinds:?}");
    }
}
