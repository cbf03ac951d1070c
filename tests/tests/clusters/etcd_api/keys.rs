//! Keys: headers, reads, transactions, roles.

use disco_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use disco_proto::etcdserverpb::request_op::Request as Op;
use disco_proto::etcdserverpb::response_op::Response as Done;
use disco_proto::etcdserverpb::*;
use disco_tests::{Api, SOON, block, wait_for};
use tonic::Code;

use super::support::{kv, op, put, put_request, range, range_request, whole};

#[test]
fn headers_have_the_answering_node_and_the_revision() {
    let (project, status, api) = whole();
    let cluster = project.disco(&["status", "-o", "json"]).ok().json();
    let term = cluster["term"].as_u64().unwrap();
    let mut ids = Vec::new();
    for node in &status.nodes {
        let revision = put(&api, &node.address, "header", "x");
        let header = range(&api, &node.address, range_request("header", "")).header.unwrap();
        assert_eq!((header.member_id, header.raft_term), (node.id, term));
        assert!(header.revision >= revision);
        ids.push(header.cluster_id);
    }
    assert!(ids[0] != 0 && ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn a_read_at_any_node_sees_what_was_acknowledged_at_another() {
    let (_project, status, api) = whole();
    for round in 0..30 {
        let writer = &status.nodes[round % 3].address;
        let revision = put(&api, writer, "linear", &round.to_string());
        for node in &status.nodes {
            let found = range(&api, &node.address, range_request("linear", ""));
            assert_eq!(found.kvs[0].value, round.to_string(), "written at {writer}, read at {}", node.address);
            assert!(found.header.unwrap().revision >= revision);
        }
        // Also a transaction of reads, which has no log entry.
        let reads =
            TxnRequest { success: vec![op(Op::RequestRange(range_request("linear", "")))], ..TxnRequest::default() };
        let answer = block(kv(&api, &status.nodes[(round + 1) % 3].address).txn(reads)).unwrap().into_inner();
        let Some(Done::ResponseRange(found)) = &answer.responses[0].response else { panic!("{answer:?}") };
        assert_eq!(found.kvs[0].value, round.to_string());
    }
    // A serializable read answers with this node's own state.
    let serializable = RangeRequest { serializable: true, ..range_request("linear", "") };
    wait_for(SOON, "the last write at every node", || {
        let stale = status.nodes.iter().map(|node| range(&api, &node.address, serializable.clone()).kvs);
        let all: Vec<_> = stale.map(|kvs| kvs[0].value.clone()).collect();
        if all.iter().all(|value| value == "29") { Ok(()) } else { Err(format!("{all:?}")) }
    });
}

#[test]
fn transactions_compare_ranges_and_every_target_and_can_be_nested() {
    let (_project, status, api) = whole();
    let address = &status.nodes[1].address;
    let first = put(&api, address, "t/a", "1");
    put(&api, address, "t/b", "1");
    let compare = |target: CompareTarget, result: CompareResult, key: &str, end: &str, union| Compare {
        target: target.into(),
        result: result.into(),
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        target_union: union,
    };
    let run = |txn: TxnRequest| block(kv(&api, address).txn(txn)).unwrap().into_inner();
    for (holds, one) in [
        (true, compare(CompareTarget::Value, CompareResult::Equal, "t/", "t0", Some(TargetUnion::Value("1".into())))),
        (
            false,
            compare(CompareTarget::Value, CompareResult::NotEqual, "t/", "t0", Some(TargetUnion::Value("1".into()))),
        ),
        (
            true,
            compare(
                CompareTarget::Create,
                CompareResult::Greater,
                "t/",
                "t0",
                Some(TargetUnion::CreateRevision(first - 1)),
            ),
        ),
        (false, compare(CompareTarget::Mod, CompareResult::Greater, "t/", "t0", Some(TargetUnion::ModRevision(first)))),
        (true, compare(CompareTarget::Version, CompareResult::Less, "t/", "t0", Some(TargetUnion::Version(2)))),
        (true, compare(CompareTarget::Lease, CompareResult::Equal, "t/a", "", Some(TargetUnion::Lease(0)))),
        // A missing key counts as 0, and its value equals nothing.
        (true, compare(CompareTarget::Version, CompareResult::Equal, "t/none", "", None)),
        (false, compare(CompareTarget::Value, CompareResult::Equal, "t/none", "", Some(TargetUnion::Value("".into())))),
    ] {
        let shown = format!("{one:?}");
        assert_eq!(run(TxnRequest { compare: vec![one], ..TxnRequest::default() }).succeeded, holds, "{shown}");
    }

    let inner = TxnRequest {
        compare: vec![compare(CompareTarget::Version, CompareResult::Equal, "t/c", "", None)],
        success: vec![op(Op::RequestPut(put_request("t/c", "inner")))],
        failure: Vec::new(),
    };
    let delete = DeleteRangeRequest { key: "t/a".into(), prev_kv: true, ..DeleteRangeRequest::default() };
    let outer = TxnRequest {
        success: vec![
            op(Op::RequestTxn(inner)),
            op(Op::RequestDeleteRange(delete)),
            op(Op::RequestRange(RangeRequest { keys_only: true, ..range_request("t/", "t0") })),
        ],
        ..TxnRequest::default()
    };
    let answer = run(outer);
    let revision = answer.header.unwrap().revision;
    let Some(Done::ResponseTxn(inner)) = &answer.responses[0].response else { panic!("{:?}", answer.responses) };
    assert!(inner.succeeded && inner.header.unwrap().revision == revision);
    let Some(Done::ResponseDeleteRange(deleted)) = &answer.responses[1].response else { panic!() };
    assert_eq!((deleted.deleted, &*deleted.prev_kvs[0].value), (1, &b"1"[..]));
    let Some(Done::ResponseRange(found)) = &answer.responses[2].response else { panic!() };
    let keys: Vec<_> = found.kvs.iter().map(|kv| (kv.key.clone(), kv.value.len())).collect();
    assert_eq!(keys, [("t/b".into(), 0), ("t/c".into(), 0)]);

    let many = TxnRequest {
        success: (0..129).map(|n| op(Op::RequestPut(put_request(&format!("t/{n}"), "")))).collect(),
        ..TxnRequest::default()
    };
    let refused = block(kv(&api, address).txn(many)).unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "etcdserver: too many operations in txn request")
    );
    let none = block(kv(&api, address).put(put_request("", "x"))).unwrap_err();
    assert_eq!((none.code(), none.message()), (Code::InvalidArgument, "etcdserver: key is not provided"));
}

#[test]
fn clients_without_permission_are_refused() {
    let (project, status, api) = whole();
    let address = &status.nodes[0].address;
    // A node is a member as an operator is, and neither sees nor writes Disco's own keys here.
    let node = Api::node(&project.machine(status.nodes[0].instance.as_deref()).data());
    let own = range_request("/disco/nodes/1", "");
    assert!(range(&node, address, own).kvs.is_empty());
    let denied = block(kv(&node, address).put(put_request("/disco/nodes/1", "x"))).unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let own = DeleteRangeRequest { key: "/disco/".into(), range_end: "/disco0".into(), prev_kv: false };
    let denied = block(kv(&api, address).delete_range(own)).unwrap_err();
    assert!(denied.message().starts_with("etcdserver: permission denied: "), "{denied:?}");
    // A request above the limit does not reach the handler.
    let large = block(kv(&api, address).put(put_request("large", &"v".repeat(3 << 20)))).unwrap_err();
    assert_eq!(large.code(), Code::ResourceExhausted, "{large:?}");
    let large = block(kv(&api, address).put(put_request("large", &"v".repeat(3 << 19)))).unwrap_err();
    assert_eq!((large.code(), large.message()), (Code::InvalidArgument, "etcdserver: request is too large"));
}
