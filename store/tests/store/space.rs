//! Full stores, the alarm that reports them, and other bounds and checksums.

use crate::common::{Bench, compare, delete, put, range, refusal, snapshot, txn};
use disco_proto::v1::{
    LeaseGrantRequest, RangeRequest, Refusal,
    command::Operation,
    command_response::Result as Answer,
    compare::{Result as Is, Target},
    request_op::Request,
};
use disco_store::{Limits, ReadError};

#[test]
fn a_full_store_lets_one_delete_and_compact() {
    let limits = Limits { quota_bytes: 10_000, reserve_bytes: 1_000, ..Limits::default() };
    let mut bench = Bench::with(limits);
    let value = "v".repeat(1_000);
    let mut stored = 0;
    let last = loop {
        let applied = bench.apply(Operation::Put(put(&format!("k{stored}"), &value)));
        assert!(bench.0.size_bytes() <= 10_000);
        match applied.response.result {
            Some(Answer::Put(_)) => stored += 1,
            _ => break applied.response,
        }
    };
    assert_eq!((refusal(&last), stored), (Refusal::NoSpace, 8));
    assert!(bench.set_alarm(false), "it was raised");
    assert_eq!(bench.refused(Operation::Put(put("k0", &value))), Refusal::NoSpace, "history counts");
    let puts = || vec![Request::Put(put("x", &value))];
    assert_eq!(bench.refused(Operation::Txn(txn(vec![], puts(), vec![]))), Refusal::NoSpace);
    // A path without puts is free, the cluster's own records have a reserve.
    bench.txn(txn(
        vec![compare("k0", Is::Equal, Target::Version(0))],
        puts(),
        vec![Request::DeleteRange(delete("none", ""))],
    ));
    bench.put(put("/disco/events/1", "v"));
    let mixed = vec![Request::Put(put("/disco/x", "")), Request::Put(put("x", &value))];
    assert_eq!(bench.refused(Operation::Txn(txn(vec![], mixed, vec![]))), Refusal::NoSpace);

    assert!(bench.set_alarm(false));
    let mut id = 0;
    while bench.grant(id + 1).response.result.is_some_and(|result| matches!(result, Answer::LeaseGrant(_))) {
        id += 1;
    }
    assert_eq!(bench.refused(Operation::LeaseGrant(LeaseGrantRequest { id: id + 1, ttl: 1 })), Refusal::NoSpace);

    bench.delete("k0", "k3");
    bench.compact(bench.0.revision());
    // As in etcd, free space is not enough: an operator must clear the alarm.
    assert!(bench.0.size_bytes() < 8_000);
    assert_eq!(bench.refused(Operation::Put(put("k0", &value))), Refusal::NoSpace);
    let copy = disco_store::Store::decode_snapshot(limits, &*snapshot(&bench.0)).unwrap();
    assert!(copy.is_full(), "a snapshot keeps the alarm");
    assert!(bench.set_alarm(false));
    assert!(!bench.set_alarm(false));
    bench.put(put("k0", &value));
}

/// An existing key only costs a new version; this counts where a new key would not fit.
#[test]
fn a_store_is_filled_to_the_last_byte() {
    let mut bench = Bench::default();
    bench.put(put("k", "value"));
    let with_key = bench.0.size_bytes();
    bench.put(put("k", "value"));
    let with_version = bench.0.size_bytes();
    assert!(with_version - with_key < with_key, "a version is less than a key");
    for (quota, fits) in [(with_version, true), (with_version - 1, false)] {
        let again: [fn() -> Operation; 2] = [
            || Operation::Put(put("k", "value")),
            || Operation::Txn(txn(vec![], vec![Request::Put(put("k", "value"))], vec![])),
        ];
        for again in again {
            let mut bench = Bench::with(Limits { quota_bytes: quota, ..Limits::default() });
            bench.put(put("k", "value"));
            if fits {
                bench.apply(again());
                assert_eq!((bench.0.size_bytes(), bench.0.is_full()), (quota, false));
            } else {
                assert_eq!(bench.refused(again()), Refusal::NoSpace);
            }
            assert_eq!(bench.refused(Operation::Put(put("l", "value"))), Refusal::NoSpace);
        }
    }
}

#[test]
fn an_alarm_raised_by_an_operator_stops_additions() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    assert!(!bench.set_alarm(true));
    assert_eq!(bench.refused(Operation::Put(put("a", ""))), Refusal::NoSpace);
    assert_eq!(bench.refused(Operation::LeaseGrant(LeaseGrantRequest { id: 1, ttl: 1 })), Refusal::NoSpace);
    bench.put(put("/disco/nodes/1", "{}"));
    bench.delete("a", "");
    assert_eq!(bench.keys(), ["/disco/nodes/1"]);
}

#[test]
fn checksums_distinguish_states() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    bench.put(put("b", "2"));
    let at_two = bench.0.hash_kv(2).unwrap();
    let now = bench.0.hash_kv(0).unwrap();
    assert_eq!((at_two.revision, now.revision, now.compact_revision), (2, 3, 0));
    assert_ne!(at_two.hash, now.hash);
    bench.put(put("a", "3"));
    assert_eq!(bench.0.hash_kv(2).unwrap(), at_two, "the past stays what it was");
    assert_ne!(bench.0.hash_kv(0).unwrap().hash, now.hash);
    let whole = bench.0.hash();
    bench.grant(7);
    assert_ne!(bench.0.hash(), whole, "leases are in the checksum of everything");

    // The boundary between key and value matters.
    let (mut one, mut other) = (Bench::default(), Bench::default());
    one.put(put("ab", "c"));
    other.put(put("a", "bc"));
    assert_ne!(one.0.hash_kv(0).unwrap().hash, other.0.hash_kv(0).unwrap().hash);

    bench.compact(3);
    assert_eq!(bench.0.hash_kv(0).unwrap().compact_revision, 3);
    assert_eq!(bench.0.hash_kv(2), Err(ReadError::Compacted { requested: 2, compact_revision: 3 }));
    assert_eq!(bench.0.hash_kv(9), Err(ReadError::Future { requested: 9, revision: 4 }));
}

#[test]
fn a_part_of_the_history_is_bounded_in_bytes() {
    let mut bench = Bench::default();
    for number in 0..8 {
        bench.put(put(&format!("k{number}"), &"v".repeat(700 << 10)));
    }
    let history = bench.0.history(2, b"k", b"l", 1_000).unwrap();
    assert_eq!((history.revisions.len(), history.next), (2, 4), "two values are more than a megabyte");
    let history = bench.0.history(9, b"k", b"l", 1_000).unwrap();
    assert_eq!((history.revisions.len(), history.next), (1, 10));
}

#[test]
fn a_transaction_that_reads_is_answered_as_if_it_were_applied() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    bench.put(put("b", "2"));
    let compares = vec![compare("a", Is::Equal, Target::Value("1".into()))];
    let reading = txn(compares, vec![Request::Range(range("a", "c"))], vec![Request::Range(range("b", ""))]);
    let answer = bench.0.range_txn(&reading).unwrap();
    assert_eq!(bench.txn(reading.clone()), answer);
    bench.put(put("a", "9"));
    let answer = bench.0.range_txn(&reading).unwrap();
    assert!(!answer.succeeded);
    assert_eq!(bench.txn(reading), answer);

    let writing = txn(vec![], vec![Request::Put(put("a", "1"))], vec![]);
    assert_eq!(bench.0.range_txn(&writing).unwrap_err().refusal, Refusal::Invalid);
    let future = txn(vec![], vec![Request::Range(RangeRequest { revision: 99, ..range("a", "") })], vec![]);
    assert_eq!(bench.0.range_txn(&future).unwrap_err().refusal, Refusal::FutureRevision);
    let empty = txn(vec![], vec![Request::Range(range("", ""))], vec![]);
    assert_eq!(bench.0.range_txn(&empty).unwrap_err().refusal, Refusal::EmptyKey);
}
