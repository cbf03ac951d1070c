//! etcd's API by its own protocol: what `etcdctl` cannot ask for, roles, and faults.

use std::time::Duration;

use disco_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use disco_proto::etcdserverpb::kv_client::KvClient;
use disco_proto::etcdserverpb::lease_client::LeaseClient;
use disco_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use disco_proto::etcdserverpb::request_op::Request as Op;
use disco_proto::etcdserverpb::response_op::Response as Done;
use disco_proto::etcdserverpb::watch_client::WatchClient;
use disco_proto::etcdserverpb::watch_request::RequestUnion;
use disco_proto::etcdserverpb::*;
use disco_tests::{Api, Project, SOON, Shared, Status, Turn, block, wait_for};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Streaming};

static CLUSTER: Shared<Project> = Shared::new(|| {
    let project = Project::new("etcdapi");
    project.bootstrap();
    project
});

fn whole() -> (Turn<Project>, Status, Api) {
    let project = CLUSTER.take();
    let status = project.wait_until_healthy(SOON, 3);
    let api = Api::operator(&project);
    (project, status, api)
}

fn kv(api: &Api, address: &str) -> KvClient<tonic::transport::Channel> {
    KvClient::new(api.channel(address)).max_decoding_message_size(64 << 20)
}

fn put_request(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() }
}

fn put(api: &Api, address: &str, key: &str, value: &str) -> i64 {
    let answer = block(kv(api, address).put(put_request(key, value))).unwrap().into_inner();
    answer.header.unwrap().revision
}

fn range_request(key: &str, end: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), range_end: end.to_owned().into(), ..RangeRequest::default() }
}

fn range(api: &Api, address: &str, range: RangeRequest) -> RangeResponse {
    block(kv(api, address).range(range)).unwrap().into_inner()
}

fn op(request: Op) -> RequestOp {
    RequestOp { request: Some(request) }
}

/// One stream of watches.
struct Watching {
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
}

impl Watching {
    fn open(api: &Api, address: &str) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let mut client = WatchClient::new(api.channel(address)).max_decoding_message_size(64 << 20);
        let answers = block(client.watch(ReceiverStream::new(receiver))).unwrap().into_inner();
        Self { requests, answers }
    }

    fn ask(&self, union: RequestUnion) {
        block(self.requests.send(WatchRequest { request_union: Some(union) })).unwrap();
    }

    /// A watch that stands.
    fn create(&mut self, request: WatchCreateRequest) -> i64 {
        self.ask(RequestUnion::CreateRequest(request));
        let created = self.next();
        assert!(created.created && !created.canceled, "{created:?}");
        created.watch_id
    }

    fn next(&mut self) -> WatchResponse {
        let answer = block(async { tokio::time::timeout(SOON, self.answers.message()).await });
        answer.expect("an answer in time").unwrap().expect("the stream goes on")
    }
}

fn prefix(key: &str, end: &str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.to_owned().into(), range_end: end.to_owned().into(), ..WatchCreateRequest::default() }
}

#[test]
fn headers_say_who_answered_and_when() {
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
        // A transaction of reads as well, which needs no place in the log.
        let reads =
            TxnRequest { success: vec![op(Op::RequestRange(range_request("linear", "")))], ..TxnRequest::default() };
        let answer = block(kv(&api, &status.nodes[(round + 1) % 3].address).txn(reads)).unwrap().into_inner();
        let Some(Done::ResponseRange(found)) = &answer.responses[0].response else { panic!("{answer:?}") };
        assert_eq!(found.kvs[0].value, round.to_string());
    }
    // What this node has is told without asking anyone.
    let serializable = RangeRequest { serializable: true, ..range_request("linear", "") };
    wait_for(SOON, "the last write at every node", || {
        let stale = status.nodes.iter().map(|node| range(&api, &node.address, serializable.clone()).kvs);
        let all: Vec<_> = stale.map(|kvs| kvs[0].value.clone()).collect();
        if all.iter().all(|value| value == "29") { Ok(()) } else { Err(format!("{all:?}")) }
    });
}

#[test]
fn transactions_compare_ranges_and_every_target_and_nest() {
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
        // What is absent counts as 0, and a value that is absent equals nothing.
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
fn one_stream_has_many_watches_each_as_it_was_asked_for() {
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

    // How far was everybody told? And nothing after a watch was cancelled.
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

    // What was compacted cannot be told.
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
fn large_answers_come_in_fragments_to_those_who_ask() {
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
fn a_full_store_says_so_as_etcd_does() {
    let (_project, status, api) = whole();
    let address = &status.nodes[1].address;
    put(&api, address, "full/a", "1");
    let alarm = |action: alarm_request::AlarmAction, alarm: AlarmType| {
        let request = AlarmRequest { action: action.into(), member_id: 0, alarm: alarm.into() };
        block(MaintenanceClient::new(api.channel(address)).alarm(request)).unwrap().into_inner().alarms
    };
    use alarm_request::AlarmAction::{Activate, Deactivate, Get};
    assert_eq!(alarm(Get, AlarmType::None), []);
    assert_eq!(alarm(Activate, AlarmType::Nospace).len(), 1);
    for node in &status.nodes {
        let refused = block(kv(&api, &node.address).put(put_request("full/b", "1"))).unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded")
        );
        let told =
            block(MaintenanceClient::new(api.channel(&node.address)).status(StatusRequest {})).unwrap().into_inner();
        assert_eq!(told.db_size_quota, 256 << 20);
        assert!(told.errors.iter().any(|error| error.contains("NOSPACE")), "{told:?}");
    }
    let grant = LeaseGrantRequest { ttl: 60, id: 0 };
    let refused = block(LeaseClient::new(api.channel(address)).lease_grant(grant)).unwrap_err();
    assert_eq!(refused.message(), "etcdserver: mvcc: database space exceeded");
    // The way out stays open, and the cluster itself goes on.
    let delete = DeleteRangeRequest { key: "full/a".into(), ..DeleteRangeRequest::default() };
    let deleted = block(kv(&api, address).delete_range(delete.clone())).unwrap().into_inner().deleted;
    assert_eq!(deleted, 1);
    let only_deletes = TxnRequest { success: vec![op(Op::RequestDeleteRange(delete))], ..TxnRequest::default() };
    block(kv(&api, address).txn(only_deletes)).unwrap();
    let alarms = alarm(Get, AlarmType::None);
    assert_eq!((alarms.len(), alarms[0].alarm()), (1, AlarmType::Nospace));
    assert_eq!(alarm(Deactivate, AlarmType::Nospace).len(), 1);
    put(&api, address, "full/b", "1");
    assert_eq!(alarm(Get, AlarmType::None), []);
}

#[test]
fn those_who_may_not_are_refused() {
    let (project, status, api) = whole();
    let address = &status.nodes[0].address;
    // A node is a member as an operator is, and as little may it write Disco's own keys.
    let node = Api::node(&project.machine(status.nodes[0].instance.as_deref()).data());
    assert!(!range(&node, address, range_request("/disco/nodes/1", "")).kvs.is_empty());
    let denied = block(kv(&node, address).put(put_request("/disco/nodes/1", "x"))).unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let all = DeleteRangeRequest { key: vec![0].into(), range_end: vec![0].into(), prev_kv: false };
    let denied = block(kv(&api, address).delete_range(all)).unwrap_err();
    assert!(denied.message().starts_with("etcdserver: permission denied: "), "{denied:?}");
    // What is larger than a request may be does not even reach the handler.
    let large = block(kv(&api, address).put(put_request("large", &"v".repeat(3 << 20)))).unwrap_err();
    assert!(matches!(large.code(), Code::OutOfRange | Code::ResourceExhausted), "{large:?}");
    let large = block(kv(&api, address).put(put_request("large", &"v".repeat(3 << 19)))).unwrap_err();
    assert_eq!((large.code(), large.message()), (Code::InvalidArgument, "etcdserver: request is too large"));
}

#[test]
fn a_connection_has_so_many_watches_and_no_more() {
    let (_project, status, api) = whole();
    let address = &status.nodes[0].address;
    let mut stream = Watching::open(&api, address);
    let mut refused = None;
    for number in 0..5_000 {
        stream.ask(RequestUnion::CreateRequest(prefix("many", "")));
        let answer = stream.next();
        if answer.canceled {
            refused = Some((number, answer.cancel_reason));
            break;
        }
    }
    assert_eq!(refused, Some((4_096, "etcdserver: too many requests".to_owned())));
    stream.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 5 }));
    assert!(stream.next().canceled);
    stream.create(prefix("many", ""));
    put(&api, address, "many", "x");
    let mut told = std::collections::BTreeSet::new();
    while told.len() < 4_096 {
        told.insert(stream.next().watch_id);
    }
    // Another connection has its own.
    Watching::open(&api, address).create(prefix("many", ""));
}

#[test]
fn a_client_that_reads_nothing_costs_nothing_and_hears_why_it_was_cancelled() {
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
    // The leader may have compacted so far by itself.
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

#[test]
fn a_client_that_wants_a_leader_hears_that_there_is_none() {
    // A cluster of its own, that loses its quorum.
    let project = Project::new("leaderless");
    project.bootstrap();
    let status = project.wait_until_healthy(SOON, 3);
    let api = Api::operator(&project);
    let leader = status.leading();
    let others: Vec<_> = status.nodes.iter().filter(|node| node.id != leader.id).collect();
    let (left, gone) = (others[0], others[1]);
    put(&api, &left.address, "kept", "x");
    wait_for(SOON, "the write at the node that stays", || {
        let stale = RangeRequest { serializable: true, ..range_request("kept", "") };
        if range(&api, &left.address, stale).kvs.is_empty() { Err("not yet") } else { Ok(()) }
    });
    let (requests, receiver) = mpsc::channel(4);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    let mut client = WatchClient::new(api.channel(&left.address));
    let mut answers = block(client.watch(request)).unwrap().into_inner();
    block(requests.send(WatchRequest { request_union: Some(RequestUnion::CreateRequest(prefix("x", ""))) })).unwrap();
    assert!(block(answers.message()).unwrap().unwrap().created);
    for node in [leader, gone] {
        // The machine, so that nothing starts the daemon again.
        project.kill(project.machine(node.instance.as_deref()).pid);
    }
    let lost =
        block(async { tokio::time::timeout(SOON, answers.message()).await }).expect("the stream ends").unwrap_err();
    assert_eq!((lost.code(), lost.message()), (Code::Unavailable, "etcdserver: no leader"));
    let mut request = Request::new(range_request("kept", ""));
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    let refused = block(kv(&api, &left.address).range(request)).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    // Without a quorum nothing is acknowledged and nothing linearizable told, but what is there can be read.
    let limit = Duration::from_secs(60);
    let mut client = kv(&api, &left.address);
    let refused = block(async { tokio::time::timeout(limit, client.range(range_request("kept", ""))).await }).unwrap();
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    let refused = block(async { tokio::time::timeout(limit, client.put(put_request("kept", "y"))).await }).unwrap();
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    let stale = RangeRequest { serializable: true, ..range_request("kept", "") };
    assert_eq!(range(&api, &left.address, stale).kvs[0].value, "x");
}

#[test]
fn a_lease_survives_the_leader_and_ends_without_its_keeper() {
    let project = Project::new("etcdlease");
    project.bootstrap();
    let status = project.wait_until_healthy(SOON, 3);
    let api = Api::operator(&project);
    let leader = status.leading();
    let other = status.nodes.iter().find(|node| node.id != leader.id).unwrap();
    let lease = |address: &str| LeaseClient::new(api.channel(address));
    let granted = block(lease(&other.address).lease_grant(LeaseGrantRequest { ttl: 4, id: 0 })).unwrap().into_inner();
    assert!(granted.id > 0 && granted.ttl == 4);
    let put = PutRequest { lease: granted.id, ..put_request("leased", "x") };
    block(kv(&api, &other.address).put(put)).unwrap();
    project.kill(leader.pid);
    // Renewed by asking again and again, as clients do, through whatever goes on.
    let renew = || {
        let requests = tokio_stream::iter([LeaseKeepAliveRequest { id: granted.id }]);
        let answer =
            block(async { lease(&other.address).lease_keep_alive(requests).await?.into_inner().message().await });
        answer.map(|answer| answer.map(|answer| answer.ttl))
    };
    let start = std::time::Instant::now();
    let mut renewed = 0;
    wait_for(SOON, "ten seconds of renewals", || {
        match renew() {
            Ok(Some(ttl)) => {
                assert_eq!(ttl, 4, "the lease has ended while it was renewed");
                renewed += 1;
            }
            Ok(None) => return Err("the stream ended".to_owned()),
            // While there is no leader.
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
        if start.elapsed() > Duration::from_secs(10) { Ok(()) } else { Err(format!("{renewed} renewals")) }
    });
    assert_eq!(range(&api, &other.address, range_request("leased", "")).kvs.len(), 1);
    wait_for(SOON, "the end of the lease", || {
        let found = range(&api, &other.address, range_request("leased", ""));
        if found.kvs.is_empty() { Ok(()) } else { Err("it is still there") }
    });
    assert_eq!(renew().unwrap(), Some(0));
    let request = LeaseTimeToLiveRequest { id: granted.id, keys: true };
    assert_eq!(block(lease(&other.address).lease_time_to_live(request)).unwrap().into_inner().ttl, -1);
}
