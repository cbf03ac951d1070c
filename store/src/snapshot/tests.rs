//! Damaged snapshots give errors with reasons; see `tests/snapshot.rs` for those made at random.

use disco_proto::v1::{Command, LeaseGrantRequest, PutRequest, command::Operation};

use super::*;
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

/// The same with the sum put right, to reach what lies behind it.
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
fn the_reason_is_told() {
    let good = bytes();
    assert_eq!(decode(b"SQLite format 3").unwrap_err().to_string(), "not a snapshot of a store");

    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(decode(&longer).unwrap_err().to_string(), "the snapshot goes on after its end");

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
    assert_eq!(newer.to_string(), "the snapshot has format 2 and this version knows formats up to 1");

    let mut huge = MAGIC.to_vec();
    huge.extend([0xff, 0xff, 0xff, 0x7f, 0, 0]);
    assert_eq!(
        decode(&huge).unwrap_err().to_string(),
        "record 0 of the snapshot is damaged: it claims to be larger than 4194304 bytes"
    );
}
