//! Watches: many on one stream, fragments, limits.

use disco_proto::etcdserverpb::request_op::Request as Op;
use disco_proto::etcdserverpb::watch_request::RequestUnion;
use disco_proto::etcdserverpb::*;
use disco_tests::{SOON, block, wait_for};
use tonic::Code;

use super::support::{Watching, kv, op, prefix, put, put_request, whole};

#[test]
fn one_stream_has_many_watches_with_different_options() {
    let (_project, status, api) = whole();
    let (writer, watched) = (&status.nodes[0].address, &status.nodes[2].address);
    let start = put(&api, writer, "w/before", "x") + 1;
    let mut stream = Watching::open(&api, watched);
    let all = stream.create(WatchCreateRequest { start_revision: start, prev_kv: true, ..prefix("w/", "w0") });
    let deletes = stream.create(WatchCreateRequest { filters: vec![0], ..prefix("w/", "w0") });
    let own = stream.create(WatchCreateRequest { watch_id: 77, ..prefix("w/b", "") });
    assert_eq!((all, deletes, own), (0, 1, 77));
    for (request, reason) in [
        (
            WatchCreateRequest { watch_id: 77, ..prefix("w/", "") },
            "mvcc: duplicate watch ID provided on the WatchStream",
        ),
        (prefix("w/b", "w/a"), "mvcc: watcher range is empty"),
    ] {
        stream.ask(RequestUnion::CreateRequest(request));
        let refused = stream.next();
        assert!(refused.created && refused.canceled && refused.watch_id == -1, "{refused:?}");
        assert_eq!(refused.cancel_reason, reason);
    }

    put(&api, writer, "w/a", "1");
    put(&api, writer, "w/b", "2");
    let delete = DeleteRangeRequest { key: "w/a".into(), ..DeleteRangeRequest::default() };
    let last = block(kv(&api, writer).delete_range(delete)).unwrap().into_inner().header.unwrap().revision;
    let mut told: std::collections::BTreeMap<i64, Vec<(i64, i32, bool)>> = std::collections::BTreeMap::new();
    while told.values().map(Vec::len).sum::<usize>() < 5 {
        let answer = stream.next();
        assert!(!answer.events.is_empty(), "{answer:?}");
        assert!(answer.header.unwrap().revision >= answer.events.last().unwrap().kv.as_ref().unwrap().mod_revision);
        let events = answer.events.into_iter();
        let events = events.map(|event| (event.kv.unwrap().mod_revision, event.r#type, event.prev_kv.is_some()));
        told.entry(answer.watch_id).or_default().extend(events);
    }
    assert_eq!(told[&all], [(last - 2, 0, false), (last - 1, 0, false), (last, 1, true)]);
    assert_eq!(told[&deletes], [(last, 1, false)]);
    assert_eq!(told[&own], [(last - 1, 0, false)]);

    // Progress covers all watches, and a cancelled watch gets no events.
    stream.ask(RequestUnion::ProgressRequest(WatchProgressRequest {}));
    let progress = stream.next();
    assert_eq!((progress.watch_id, progress.events.len()), (-1, 0));
    assert!(progress.header.unwrap().revision >= last);
    stream.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: own }));
    let canceled = stream.next();
    assert!(canceled.canceled && canceled.watch_id == own && canceled.compact_revision == 0);
    put(&api, writer, "w/b", "3");
    let answer = stream.next();
    assert_eq!(answer.watch_id, all);

    // Compacted revisions cannot be watched.
    let now = put(&api, writer, "w/c", "x");
    block(kv(&api, writer).compact(CompactionRequest { revision: now, physical: true })).unwrap();
    api.wait_for_revision(SOON, watched, now);
    wait_for(SOON, "the compaction at the node that is watched", || {
        let mut late = Watching::open(&api, watched);
        late.create(WatchCreateRequest { start_revision: start, ..prefix("w/", "w0") });
        let answer = late.next();
        if answer.events.is_empty() {
            assert!(answer.canceled && answer.compact_revision == now, "{answer:?}");
            assert_eq!(answer.cancel_reason, "etcdserver: mvcc: required revision has been compacted");
            return Ok(());
        }
        Err(format!("{answer:?}"))
    });
}

#[test]
fn large_answers_come_in_fragments_if_requested() {
    let (_project, status, api) = whole();
    let address = &status.nodes[0].address;
    // All in one revision, so that they are one answer.
    let start = put(&api, address, "large/0", "x") + 1;
    let value = "v".repeat(100 << 10);
    for part in 0..3 {
        let puts = (0..14).map(|n| op(Op::RequestPut(put_request(&format!("large/{part}-{n:02}"), &value))));
        block(kv(&api, address).txn(TxnRequest { success: puts.collect(), ..TxnRequest::default() })).unwrap();
    }
    let delete = DeleteRangeRequest { key: "large/".into(), range_end: "large0".into(), prev_kv: false };
    block(kv(&api, address).delete_range(delete)).unwrap();
    let mut stream = Watching::open(&api, address);
    let request = WatchCreateRequest { start_revision: start, prev_kv: true, ..prefix("large/", "large0") };
    let whole = stream.create(request.clone());
    let mut sizes = Vec::new();
    let mut count = 0;
    while count < 42 + 43 {
        let answer = stream.next();
        assert!(answer.watch_id == whole && !answer.fragment);
        count += answer.events.len();
        sizes.push(answer.events.len());
    }
    assert_eq!(sizes.last(), Some(&43), "the deletion is one answer: {sizes:?}");
    let divided = stream.create(WatchCreateRequest { fragment: true, ..request });
    let (mut count, mut fragments) = (0, 0);
    while count < 42 + 43 {
        let answer = stream.next();
        assert_eq!(answer.watch_id, divided);
        assert!(prost::Message::encoded_len(&answer) < 2 << 20);
        count += answer.events.len();
        fragments += usize::from(answer.fragment);
    }
    assert!(fragments >= 2, "the deletion of 4 MB has parts");
}

#[test]
fn a_client_that_reads_nothing_costs_no_memory_and_gets_the_reason_of_its_cancellation() {
    let (_project, status, api) = whole();
    let (writer, watched) = (&status.nodes[0].address, &status.nodes[1].address);
    let mut stream = Watching::open(&api, watched);
    stream.create(prefix("slow/", "slow0"));
    // Far more than fits into all buffers, in one key: the rest must wait in the history, which is compacted under it.
    let value = "v".repeat(256 << 10);
    let mut last = 0;
    for _ in 0..64 {
        last = put(&api, writer, "slow/key", &value);
    }
    let compacted = block(kv(&api, writer).compact(CompactionRequest { revision: last, physical: false }));
    // The leader may have compacted up to there by itself.
    if let Err(status) = compacted {
        assert_eq!(status.code(), Code::OutOfRange);
    }
    api.wait_for_revision(SOON, watched, last);
    let (mut seen, mut reason) = (0, None);
    while seen < last {
        let answer = stream.next();
        if answer.canceled {
            assert!(answer.compact_revision > seen, "{answer:?}");
            reason = Some(answer.cancel_reason);
            break;
        }
        for event in &answer.events {
            let revision = event.kv.as_ref().unwrap().mod_revision;
            assert!(revision > seen, "revisions go back");
            seen = revision;
        }
    }
    assert_eq!(
        reason.as_deref(),
        Some("etcdserver: mvcc: required revision has been compacted"),
        "seen up to {seen} of {last}"
    );
}
