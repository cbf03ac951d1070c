//! Each rule of the store in isolation.

use crate::common::{Bench, command, compare, delete, put, range, refusal, txn};
use disco_proto::v1::{
    Command, CompactRequest, Compare, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, Refusal,
    command::Operation,
    command_response::Result as Answer,
    compare::{Result as Is, Target},
    event,
    range_request::{SortOrder, SortTarget},
    request_op::Request,
    response_op::Response,
};
use disco_store::{Compacted, Limits, ReadError, Store};

#[test]
fn a_put_counts_revisions_and_versions() {
    let mut bench = Bench::default();
    assert_eq!(bench.0.revision(), 1);
    assert_eq!(bench.put(put("a", "1")).revision, 2);
    assert_eq!(bench.put(put("b", "1")).revision, 3);
    bench.put(put("a", "2"));
    let a = bench.get("a").unwrap();
    assert_eq!((a.create_revision, a.mod_revision, a.version, &*a.value), (2, 4, 2, &b"2"[..]));

    bench.delete("a", "");
    bench.put(put("a", "3"));
    let a = bench.get("a").unwrap();
    assert_eq!((a.create_revision, a.mod_revision, a.version), (6, 6, 1), "created anew");
}

#[test]
fn previous_pairs_are_sent_when_requested() {
    let mut bench = Bench::default();
    assert_eq!(bench.put(PutRequest { prev_kv: true, ..put("a", "1") }).prev_kv, None);
    assert_eq!(&*bench.put(PutRequest { prev_kv: true, ..put("a", "2") }).prev_kv.unwrap().value, b"1");
    assert_eq!(bench.put(put("a", "3")).prev_kv, None);
    let mut deletion = delete("a", "");
    deletion.prev_kv = true;
    let Some(Answer::DeleteRange(response)) = bench.apply(Operation::DeleteRange(deletion)).response.result else {
        panic!()
    };
    assert_eq!((response.deleted, &*response.prev_kvs[0].value), (1, &b"3"[..]));
}

#[test]
fn events_carry_the_previous_pair() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    let events = bench.apply(Operation::Put(put("a", "2"))).events;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].r#type(), event::Type::Put);
    assert_eq!(&*events[0].kv.as_ref().unwrap().value, b"2");
    assert_eq!(&*events[0].prev_kv.as_ref().unwrap().value, b"1");

    let events = bench.delete("a", "").events;
    assert_eq!(events[0].r#type(), event::Type::Delete);
    let kv = events[0].kv.clone().unwrap();
    assert_eq!((kv.mod_revision, kv.create_revision, kv.version, kv.value.len()), (4, 0, 0, 0));
    assert_eq!(events[0].prev_kv.as_ref().unwrap().mod_revision, 3);
}

#[test]
fn a_deletion_is_one_revision_or_none_without_keys() {
    let mut bench = Bench::default();
    for key in ["a", "b", "c"] {
        bench.put(put(key, "x"));
    }
    let applied = bench.delete("a", "c");
    assert_eq!((applied.response.revision, applied.events.len()), (5, 2));
    let applied = bench.delete("a", "c");
    assert_eq!((applied.response.revision, applied.events.len()), (5, 0));
    assert_eq!(bench.keys(), ["c"]);
}

#[test]
fn value_and_lease_can_be_kept() {
    let mut bench = Bench::default();
    bench.grant(7);
    let keep_value = |lease| PutRequest { ignore_value: true, lease, ..put("a", "") };
    assert_eq!(bench.refused(Operation::Put(keep_value(0))), Refusal::KeyNotFound);
    bench.put(put("a", "1"));
    let events = bench.apply(Operation::Put(keep_value(7))).events;
    assert_eq!(&*events[0].kv.as_ref().unwrap().value, b"1");
    let a = bench.get("a").unwrap();
    assert_eq!((&*a.value, a.lease, a.version), (&b"1"[..], 7, 2));

    bench.put(PutRequest { ignore_lease: true, ..put("a", "2") });
    assert_eq!(bench.get("a").unwrap().lease, 7);
    bench.put(put("a", "3"));
    assert_eq!(bench.get("a").unwrap().lease, 0);
    assert_eq!(bench.0.lease(7).unwrap().keys().len(), 0);

    assert_eq!(bench.refused(Operation::Put(PutRequest { ignore_value: true, ..put("a", "x") })), Refusal::Invalid);
    let both = PutRequest { ignore_lease: true, lease: 7, ..put("a", "") };
    assert_eq!(bench.refused(Operation::Put(both)), Refusal::Invalid);
}

#[test]
fn ranges_see_the_past_until_compaction() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    bench.put(put("b", "1"));
    bench.put(put("a", "2"));
    bench.delete("b", "");
    let at = |bench: &Bench, revision| bench.0.range(&RangeRequest { revision, ..range("a", "z") });
    let values = |bench: &Bench, revision| -> Vec<String> {
        let kvs = at(bench, revision).unwrap().kvs.into_iter();
        kvs.map(|kv| format!("{}={}", kv.key.escape_ascii(), kv.value.escape_ascii())).collect()
    };
    assert_eq!(values(&bench, 1), Vec::<String>::new());
    assert_eq!(values(&bench, 2), ["a=1"]);
    assert_eq!(values(&bench, 3), ["a=1", "b=1"]);
    assert_eq!(values(&bench, 4), ["a=2", "b=1"]);
    assert_eq!(values(&bench, 5), ["a=2"]);
    assert_eq!(values(&bench, 0), ["a=2"]);
    assert_eq!(at(&bench, 3).unwrap().revision, 5, "the answer names the newest revision");
    assert_eq!(at(&bench, 6).unwrap_err(), ReadError::Future { requested: 6, revision: 5 });

    bench.compact(4);
    assert_eq!(at(&bench, 3).unwrap_err(), ReadError::Compacted { requested: 3, compact_revision: 4 });
    assert_eq!(values(&bench, 4), ["a=2", "b=1"]);
    assert_eq!(values(&bench, 5), ["a=2"]);
}

#[test]
fn ranges_limit_sort_and_filter() {
    let mut bench = Bench::default();
    for (key, value) in [("a", "3"), ("b", "1"), ("c", "2"), ("d", "1")] {
        bench.put(put(key, value));
    }
    bench.put(put("b", "4"));
    let keys = |request: RangeRequest| -> (String, bool, i64) {
        let response = bench.0.range(&request).unwrap();
        let keys = response.kvs.iter().map(|kv| kv.key.escape_ascii().to_string()).collect();
        (keys, response.more, response.count)
    };
    let all = || range("a", "z");
    assert_eq!(keys(all()), ("abcd".into(), false, 4));
    assert_eq!(keys(RangeRequest { limit: 2, ..all() }), ("ab".into(), true, 4));
    assert_eq!(keys(RangeRequest { limit: 4, ..all() }), ("abcd".into(), false, 4));
    assert_eq!(keys(RangeRequest { limit: -1, ..all() }), ("abcd".into(), false, 4));
    assert_eq!(keys(RangeRequest { count_only: true, ..all() }), (String::new(), false, 4));
    let descending = || RangeRequest { sort_order: SortOrder::Descend.into(), ..all() };
    assert_eq!(keys(RangeRequest { limit: 1, ..descending() }), ("d".into(), true, 4));
    let by = |target: SortTarget| RangeRequest { sort_target: target.into(), ..all() };
    assert_eq!(keys(by(SortTarget::Value)).0, "dcab");
    assert_eq!(keys(by(SortTarget::Mod)).0, "acdb");
    assert_eq!(keys(by(SortTarget::Create)).0, "abcd");
    assert_eq!(keys(by(SortTarget::Version)).0, "acdb");
    assert_eq!(keys(RangeRequest { limit: 1, ..by(SortTarget::Value) }), ("d".into(), true, 4));
    assert_eq!(keys(RangeRequest { min_mod_revision: 4, limit: 1, ..all() }), ("b".into(), true, 4));
    assert_eq!(keys(RangeRequest { max_mod_revision: 4, ..all() }).0, "ac");
    assert_eq!(keys(RangeRequest { min_create_revision: 3, max_create_revision: 4, ..all() }).0, "bc");
    assert_eq!(keys(range("a", "")).0, "a");
    assert_eq!(keys(range("b", "\0")).0, "bcd");
    assert_eq!(keys(range("c", "a")), (String::new(), false, 0));

    let response = bench.0.range(&RangeRequest { keys_only: true, ..all() }).unwrap();
    assert!(response.kvs.iter().all(|kv| kv.value.is_empty() && kv.mod_revision > 0));
    assert_eq!(bench.0.range(&range("", "")).unwrap_err(), ReadError::EmptyKey);
    assert_eq!(bench.0.range(&RangeRequest { sort_order: 9, ..all() }).unwrap_err(), ReadError::UnknownSort);
}

#[test]
fn comparisons_choose_the_branch() {
    let mut bench = Bench::default();
    bench.grant(5);
    bench.put(PutRequest { lease: 5, ..put("a", "m") });
    bench.put(put("ab", "n"));
    let mut holds = |compare: Compare| bench.txn(txn(vec![compare], vec![], vec![])).succeeded;
    for (target, less, greater) in [
        (Target::Version(1), Target::Version(2), Target::Version(0)),
        (Target::CreateRevision(2), Target::CreateRevision(3), Target::CreateRevision(1)),
        (Target::ModRevision(2), Target::ModRevision(3), Target::ModRevision(1)),
        (Target::Lease(5), Target::Lease(6), Target::Lease(4)),
        (Target::Value("m".into()), Target::Value("n".into()), Target::Value("l".into())),
    ] {
        assert!(holds(compare("a", Is::Equal, target.clone())), "{target:?}");
        assert!(!holds(compare("a", Is::NotEqual, target.clone())), "{target:?}");
        assert!(holds(compare("a", Is::Less, less.clone())) && !holds(compare("a", Is::Greater, less)));
        assert!(holds(compare("a", Is::Greater, greater.clone())) && !holds(compare("a", Is::Less, greater)));
    }
    // An absent key has zeros, and no value to compare.
    assert!(holds(compare("x", Is::Equal, Target::CreateRevision(0))));
    assert!(holds(compare("x", Is::Less, Target::Version(1))));
    assert!(!holds(compare("x", Is::Equal, Target::Value("".into()))));
    assert!(!holds(compare("x", Is::NotEqual, Target::Value("y".into()))));
    // In a range each key counts.
    let over =
        |end: &str, result, target| Compare { range_end: end.to_string().into(), ..compare("a", result, target) };
    assert!(holds(over("b", Is::Greater, Target::ModRevision(1))));
    assert!(!holds(over("b", Is::Greater, Target::ModRevision(2))));
    assert!(holds(over("aa", Is::Equal, Target::ModRevision(2))));
}

#[test]
fn a_transaction_is_one_revision_and_sees_its_own_writes() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    let operations = vec![
        Request::Range(range("a", "z")),
        Request::Put(put("b", "2")),
        Request::DeleteRange(delete("a", "")),
        Request::Range(range("a", "z")),
        Request::Put(put("c", "3")),
    ];
    let applied = bench.apply(Operation::Txn(txn(vec![], operations, vec![])));
    assert_eq!(applied.response.revision, 3);
    let changes: Vec<_> = applied.events.iter().map(|event| event.kv.clone().unwrap()).collect();
    assert!(changes.iter().all(|kv| kv.mod_revision == 3));
    assert_eq!(changes.iter().map(|kv| &*kv.key).collect::<Vec<_>>(), [b"b", b"a", b"c"], "in the order of operations");
    let Some(Answer::Txn(response)) = applied.response.result else { panic!() };
    let ranges: Vec<_> = response
        .responses
        .iter()
        .filter_map(|op| match &op.response {
            Some(Response::Range(range)) => Some((range.revision, range.kvs.len(), range.kvs[0].key.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(ranges, [(2, 1, "a".into()), (3, 1, "b".into())]);

    let nothing =
        bench.txn(txn(vec![], vec![Request::Range(range("a", "z")), Request::DeleteRange(delete("x", ""))], vec![]));
    assert_eq!(nothing.revision, 3, "no change, no revision");
}

#[test]
fn nested_comparisons_see_the_state_before() {
    let mut bench = Bench::default();
    let absent = || vec![compare("a", Is::Equal, Target::Version(0))];
    let inner = txn(absent(), vec![Request::Put(put("b", "absent"))], vec![Request::Put(put("b", "present"))]);
    let response = bench.txn(txn(absent(), vec![Request::Put(put("a", "1")), Request::Txn(inner.clone())], vec![]));
    assert!(response.succeeded);
    assert_eq!(&*bench.get("b").unwrap().value, b"absent");
    let outer = txn(absent(), vec![], vec![Request::Txn(inner)]);
    let response = bench.txn(outer);
    assert!(!response.succeeded);
    assert!(matches!(&response.responses[0].response, Some(Response::Txn(inner)) if !inner.succeeded));
    assert_eq!(&*bench.get("b").unwrap().value, b"present");
}

#[test]
fn a_key_changes_once_in_a_transaction() {
    let put_a = || Request::Put(put("a", "1"));
    let delete_all = || Request::DeleteRange(delete("a", "z"));
    let nest = |success, failure| Request::Txn(txn(vec![], success, failure));
    let mut bench = Bench::default();
    for bad in [
        vec![put_a(), put_a()],
        vec![put_a(), delete_all()],
        vec![delete_all(), put_a()],
        vec![put_a(), Request::DeleteRange(delete("a", ""))],
        vec![put_a(), Request::DeleteRange(delete("A", "\0"))],
        vec![put_a(), nest(vec![put_a()], vec![])],
        vec![nest(vec![], vec![put_a()]), put_a()],
        vec![delete_all(), nest(vec![put_a()], vec![])],
        vec![put_a(), nest(vec![delete_all()], vec![])],
        vec![nest(vec![put_a()], vec![]), nest(vec![put_a()], vec![])],
        vec![nest(vec![put_a()], vec![]), nest(vec![], vec![delete_all()])],
        vec![nest(vec![put_a(), put_a()], vec![])],
    ] {
        assert_eq!(bench.refused(Operation::Txn(txn(vec![], bad.clone(), vec![]))), Refusal::DuplicateKey, "{bad:?}");
        assert_eq!(bench.refused(Operation::Txn(txn(vec![], vec![], bad.clone()))), Refusal::DuplicateKey, "{bad:?}");
    }
    for good in [
        vec![put_a(), Request::Put(put("b", "1"))],
        vec![nest(vec![put_a()], vec![put_a()])],
        vec![nest(vec![put_a()], vec![delete_all()])],
        vec![delete_all(), delete_all()],
        vec![put_a(), Request::DeleteRange(delete("b", "z"))],
        vec![put_a(), Request::Range(range("a", ""))],
    ] {
        bench.txn(txn(vec![], good.clone(), vec![]));
        bench.txn(txn(vec![], good, vec![put_a()]));
    }
}

#[test]
fn a_transaction_that_cannot_run_changes_nothing() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    bench.put(put("a", "2"));
    bench.compact(3);
    let mut with = |last| bench.refused(Operation::Txn(txn(vec![], vec![Request::Put(put("b", "1")), last], vec![])));
    let at = |revision| Request::Range(RangeRequest { revision, ..range("a", "") });
    assert_eq!(with(at(2)), Refusal::Compacted);
    assert_eq!(with(at(4)), Refusal::FutureRevision);
    assert_eq!(with(Request::Put(PutRequest { lease: 9, ..put("c", "") })), Refusal::LeaseNotFound);
    assert_eq!(with(Request::Put(PutRequest { ignore_value: true, ..put("c", "") })), Refusal::KeyNotFound);
    // Operations off the path do not matter.
    let never = vec![compare("a", Is::Equal, Target::Version(0))];
    bench.txn(txn(never, vec![Request::Put(PutRequest { lease: 9, ..put("c", "") })], vec![at(3)]));
}

#[test]
fn leases_take_their_keys_along() {
    let mut bench = Bench::default();
    let Some(Answer::LeaseGrant(grant)) = bench.grant(7).response.result else { panic!() };
    assert_eq!((grant.id, grant.ttl, grant.revision), (7, 60, 1));
    assert_eq!(bench.refused(Operation::LeaseGrant(LeaseGrantRequest { id: 7, ttl: 1 })), Refusal::LeaseExists);
    assert_eq!(bench.refused(Operation::LeaseGrant(LeaseGrantRequest { id: 0, ttl: 1 })), Refusal::Invalid);
    assert_eq!(bench.refused(Operation::LeaseGrant(LeaseGrantRequest { id: 8, ttl: 0 })), Refusal::Invalid);
    assert_eq!(bench.refused(Operation::Put(PutRequest { lease: 8, ..put("a", "") })), Refusal::LeaseNotFound);
    assert_eq!(bench.refused(Operation::LeaseRevoke(LeaseRevokeRequest { id: 8 })), Refusal::LeaseNotFound);

    bench.grant(8);
    for key in ["c", "a", "b"] {
        bench.put(PutRequest { lease: 7, ..put(key, "x") });
    }
    bench.put(PutRequest { lease: 8, ..put("b", "x") });
    bench.delete("c", "");
    bench.put(put("c", "free"));
    let keys = |bench: &Bench, id| bench.0.lease(id).unwrap().keys().map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!((keys(&bench, 7), keys(&bench, 8)), (vec![b"a".to_vec()], vec![b"b".to_vec()]));
    assert_eq!(bench.0.leases().map(|lease| (lease.id(), lease.ttl())).collect::<Vec<_>>(), [(7, 60), (8, 60)]);
    assert_eq!(bench.0.lease(7).unwrap().granted_at_ms(), 1_700_000_000_000);

    bench.put(PutRequest { lease: 7, ..put("d", "x") });
    let applied = bench.revoke(7);
    assert_eq!(applied.events.len(), 2);
    assert!(applied.events.iter().all(|event| event.kv.as_ref().unwrap().mod_revision == applied.response.revision));
    assert_eq!(bench.keys(), ["b", "c"]);
    assert!(bench.0.lease(7).is_none());
    let before = bench.0.revision();
    bench.grant(9);
    bench.revoke(9);
    assert_eq!(bench.0.revision(), before, "a lease without keys changes nothing that has a revision");
}

#[test]
fn compaction_has_bounds() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    bench.put(put("a", "2"));
    let refused = |bench: &mut Bench, revision| bench.refused(Operation::Compact(CompactRequest { revision }));
    assert_eq!(refused(&mut bench, 0), Refusal::Compacted);
    assert_eq!(refused(&mut bench, 4), Refusal::FutureRevision);
    let applied = bench.compact(3);
    assert_eq!((applied.response.revision, bench.0.compact_revision(), bench.0.revision()), (3, 3, 3));
    assert_eq!(refused(&mut bench, 3), Refusal::Compacted);
    assert_eq!(refused(&mut bench, -1), Refusal::Compacted);
}

#[test]
fn compaction_frees_what_history_takes() {
    let mut bench = Bench::default();
    for round in 0..10 {
        bench.put(put("a", &"x".repeat(100)));
        bench.put(put(&format!("gone{round}"), "x"));
        bench.delete(&format!("gone{round}"), "");
    }
    assert!(bench.0.history_bytes() > 2_000);
    bench.put(put("b", "1"));
    // What the last revision itself superseded is compacted as well.
    bench.put(put("a", &"x".repeat(100)));
    let live = bench.0.size_bytes() - bench.0.history_bytes();
    bench.compact(bench.0.revision());
    assert_eq!((bench.0.size_bytes(), bench.0.history_bytes()), (live, 0));
    assert_eq!(bench.keys(), ["a", "b"]);
}

#[test]
fn history_is_returned_by_revision_and_in_parts() {
    let mut bench = Bench::default();
    bench.put(put("a", "1"));
    bench.put(put("other", "1"));
    bench.put(put("a", "2"));
    bench.txn(txn(vec![], vec![Request::Put(put("b", "1")), Request::DeleteRange(delete("a", ""))], vec![]));
    let history_from = |from, max| {
        let history = bench.0.history(from, b"a", b"c", max).unwrap();
        let revisions: Vec<_> = history.revisions.iter().map(|one| (one.revision, one.events.len())).collect();
        (revisions, history.next)
    };
    assert_eq!(history_from(1, 100), (vec![(2, 1), (4, 1), (5, 2)], 6));
    assert_eq!(history_from(1, 1), (vec![(2, 1)], 4));
    assert_eq!(history_from(4, 0), (vec![(4, 1)], 5));
    assert_eq!(history_from(5, 1), (vec![(5, 2)], 6), "a revision is never split");
    assert_eq!(history_from(0, 100), (vec![], 6));
    assert_eq!(history_from(9, 100), (vec![], 9));
    let history = bench.0.history(5, b"a", b"c", 9).unwrap();
    let [put, deletion] = &*history.revisions[0].events else { panic!() };
    assert_eq!((put.r#type(), &put.prev_kv), (event::Type::Put, &None));
    assert_eq!(deletion.r#type(), event::Type::Delete);
    assert_eq!(&*deletion.prev_kv.as_ref().unwrap().value, b"2");

    bench.compact(5);
    assert_eq!(bench.0.history(4, b"a", b"c", 9).unwrap_err(), Compacted { requested: 4, compact_revision: 5 });
    let history = bench.0.history(5, b"a", b"c", 9).unwrap();
    assert_eq!(history.revisions[0].events.len(), 2, "also the deletion at the compaction revision");
    assert_eq!(history.revisions[0].events[1].prev_kv, None, "compacted");
}

#[test]
fn a_command_for_another_term_is_refused() {
    let mut store = Store::default();
    let stale = Command { only_in_term: 3, ..command(Operation::Put(put("a", "1"))) };
    assert_eq!(refusal(&store.apply(4, &stale).response), Refusal::StaleTerm);
    assert_eq!(refusal(&store.apply(2, &stale).response), Refusal::StaleTerm);
    assert_eq!(store.revision(), 1);
    assert_eq!(store.apply(3, &stale).response.revision, 2);
}

#[test]
fn a_repeated_command_has_the_first_answer_and_no_effect() {
    let mut store = Store::default();
    let once = Command { request_id: vec![1; 16].into(), ..command(Operation::Put(put("a", "1"))) };
    let first = store.apply(1, &once);
    assert!(!first.repeated);
    store.apply(1, &command(Operation::Put(put("a", "2"))));
    let again = store.apply(2, &once);
    assert_eq!((again.repeated, again.events.len(), &again.response), (true, 0, &first.response));
    assert_eq!(store.revision(), 3);

    // Refusals are remembered too, even if the command could run now.
    let refused = Command { request_id: vec![2; 16].into(), only_in_term: 9, ..once.clone() };
    let first = store.apply(1, &refused);
    assert_eq!(store.apply(9, &refused).response, first.response);

    let short = Command { request_id: vec![1; 15].into(), ..once };
    assert_eq!(refusal(&store.apply(1, &short).response), Refusal::Invalid);
}

#[test]
fn sizes_are_bounded() {
    let mut bench = Bench::default();
    let put_of = |key: usize, value: usize| Operation::Put(put(&"k".repeat(key), &"v".repeat(value)));
    // A command as a whole has at most 1.5 MiB, whether in the key or in the value.
    bench.put(put(&"k".repeat(1 << 19), &"v".repeat((1 << 20) - 64)));
    assert_eq!(bench.refused(put_of((3 << 19) + 1, 1)), Refusal::TooLarge);
    assert_eq!(bench.refused(put_of(1, 3 << 19)), Refusal::TooLarge);
    assert_eq!(bench.refused(put_of(0, 1)), Refusal::EmptyKey);
    assert_eq!(bench.refused(Operation::DeleteRange(delete("", "z"))), Refusal::EmptyKey);
    assert_eq!(bench.refused(Operation::DeleteRange(delete("a", &"z".repeat(3 << 19)))), Refusal::TooLarge);

    let puts = |count: usize| (0..count).map(|n| Request::Put(put(&format!("k{n}"), "v"))).collect::<Vec<_>>();
    bench.txn(txn(vec![], puts(128), puts(128)));
    assert_eq!(bench.refused(Operation::Txn(txn(vec![], puts(129), vec![]))), Refusal::TooManyOperations);
    let mut nested = puts(127);
    nested.push(Request::Txn(txn(vec![], vec![Request::Put(put("x", ""))], vec![])));
    assert_eq!(bench.refused(Operation::Txn(txn(vec![], nested, vec![]))), Refusal::TooManyOperations);
    let compares = vec![compare("a", Is::Equal, Target::Version(0)); 129];
    assert_eq!(bench.refused(Operation::Txn(txn(compares, vec![], vec![]))), Refusal::TooManyOperations);
    let big = (0..2).map(|n| Request::Put(put(&format!("k{n}"), &"v".repeat(1 << 20)))).collect();
    assert_eq!(bench.refused(Operation::Txn(txn(vec![], big, vec![]))), Refusal::TooLarge);

    let deep = (0..200).fold(txn(vec![], vec![], vec![]), |inner, _| txn(vec![], vec![Request::Txn(inner)], vec![]));
    assert_eq!(bench.refused(Operation::Txn(deep)), Refusal::TooManyOperations);
}

#[test]
fn malformed_commands_are_refused() {
    let mut bench = Bench::default();
    assert_eq!(refusal(&bench.0.apply(1, &Command::default()).response), Refusal::Invalid);
    let bad_result = Compare { result: 77, ..compare("a", Is::Equal, Target::Version(0)) };
    assert_eq!(bench.refused(Operation::Txn(txn(vec![bad_result], vec![], vec![]))), Refusal::Invalid);
    let no_target = Compare { target: None, ..compare("a", Is::Equal, Target::Version(0)) };
    assert_eq!(bench.refused(Operation::Txn(txn(vec![no_target], vec![], vec![]))), Refusal::Invalid);
    let no_key = compare("", Is::Equal, Target::Version(0));
    assert_eq!(bench.refused(Operation::Txn(txn(vec![no_key], vec![], vec![]))), Refusal::EmptyKey);
    let mut empty = txn(vec![], vec![], vec![]);
    empty.failure.push(Default::default());
    assert_eq!(bench.refused(Operation::Txn(empty)), Refusal::Invalid);
    let sort = Request::Range(RangeRequest { sort_target: 9, ..range("a", "") });
    assert_eq!(bench.refused(Operation::Txn(txn(vec![], vec![sort], vec![]))), Refusal::Invalid);
}

#[test]
fn validation_needs_no_state() {
    let limits = Limits::default();
    let good = command(Operation::Put(PutRequest { lease: 4, ..put("a", "") }));
    disco_store::validate(&good, &limits).unwrap();
    let refused = disco_store::validate(&command(Operation::Put(put("", ""))), &limits).unwrap_err();
    assert_eq!((refused.refusal, refused.to_string()), (Refusal::EmptyKey, "key must not be empty".to_string()));
}
