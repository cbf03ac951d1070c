//! A full store, a lost quorum, a lost leader.

use std::time::Duration;

use disco_proto::etcdserverpb::lease_client::LeaseClient;
use disco_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use disco_proto::etcdserverpb::request_op::Request as Op;
use disco_proto::etcdserverpb::watch_client::WatchClient;
use disco_proto::etcdserverpb::watch_request::RequestUnion;
use disco_proto::etcdserverpb::*;
use disco_proto::health::health_check_response::ServingStatus;
use disco_tests::{Api, Project, SOON, block, wait_for};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use super::probes::{get, serving};
use super::support::{kv, op, prefix, put, put_request, range, range_request, whole};

/// A request that wants a leader.
fn with_leader<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    request
}

#[test]
fn a_full_store_raises_etcds_alarm() {
    let (project, status, api) = whole();
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
    let warnings = project.status().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("`etcdctl alarm disarm`")), "{warnings:?}");
    let grant = LeaseGrantRequest { ttl: 60, id: 0 };
    let refused = block(LeaseClient::new(api.channel(address)).lease_grant(grant)).unwrap_err();
    assert_eq!(refused.message(), "etcdserver: mvcc: database space exceeded");
    // Deletes are still accepted, and the cluster itself works.
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
fn a_client_that_requires_a_leader_gets_an_error_without_one() {
    // A separate cluster, which loses its quorum.
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
    // Calls as well, once the leader has been silent for three election timeouts.
    wait_for(SOON, "a call that is refused since there is no leader", || {
        let refused = block(kv(&api, &left.address).range(with_leader(range_request("kept", "")))).unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        if refused.message() == "etcdserver: no leader" { Ok(()) } else { Err(refused.message().to_owned()) }
    });
    // Without waiting for one, also where none is needed.
    let stale = RangeRequest { serializable: true, ..range_request("kept", "") };
    for range in [range_request("kept", ""), stale] {
        let refused = block(kv(&api, &left.address).range(with_leader(range))).unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "etcdserver: no leader"));
    }
    let refused = block(kv(&api, &left.address).put(with_leader(put_request("kept", "y")))).unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "etcdserver: no leader"));
    // Probes see it as well.
    let (code, text) = get(&api, &left.address, "/readyz");
    assert_eq!(code, 503, "{text}");
    assert!(text.contains("[-]linearizable_read failed: etcdserver: no leader\n"), "{text}");
    assert_eq!(get(&api, &left.address, "/readyz?exclude=linearizable_read"), (200, "ok\n".to_owned()));
    assert_eq!(get(&api, &left.address, "/livez"), (200, "ok\n".to_owned()));
    let (code, text) = get(&api, &left.address, "/health");
    assert!(code == 503 && text.contains("RAFT NO LEADER"), "{code} {text}");
    assert_eq!(get(&api, &left.address, "/health?serializable=true").0, 200);
    assert_eq!(serving(&api, &left.address), ServingStatus::NotServing);
    // Without a quorum no write is acknowledged and no linearizable read answered, but stale reads are.
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
fn a_lease_survives_the_leader_and_expires_without_renewal() {
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
    // Renewed by repeated requests, as clients do, through all faults.
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
