//! One client with thousands of leases, watches and streams on one connection.

use disco_proto::etcdserverpb::lease_client::LeaseClient;
use disco_proto::etcdserverpb::watch_client::WatchClient;
use disco_proto::etcdserverpb::watch_request::RequestUnion;
use disco_proto::etcdserverpb::*;
use disco_tests::{SOON, block, memory, wait_for};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};

use super::support::{kv, prefix, put, put_request, whole};

/// Of one client.
const LEASES: usize = 500;
/// Keep-alives that are sent at once.
const KEPT_ALIVE: usize = 5_000;
/// Watches that a connection may have.
const WATCHES: usize = 16_384;
/// Streams that a connection may have open.
const STREAMS: usize = 1_024;

/// Sends each message in a frame of its own, as etcd's clients do: tonic joins those that are ready.
fn one_by_one<T: Send + 'static>(messages: Vec<T>) -> impl Stream<Item = T> + Send + 'static {
    tokio_stream::iter(messages).then(|message| async {
        tokio::task::yield_now().await;
        message
    })
}

/// Those requests, and after them those of the sender.
fn burst<T: Send + 'static>(messages: Vec<T>) -> (mpsc::Sender<T>, impl Stream<Item = T> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(16);
    (sender, one_by_one(messages).chain(ReceiverStream::new(receiver)))
}

async fn timed<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("an answer in time")
}

fn create(key: String) -> WatchRequest {
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(prefix(&key, ""))) }
}

#[test]
fn a_client_keeps_thousands_of_leases_alive_at_once() {
    let (_project, status, api) = whole();
    // The harder way: the node sends them on to the leader.
    let follower = status.nodes.iter().find(|node| Some(node.id) != status.leader).unwrap();
    let channel = api.channel(&follower.address);
    let before = memory(follower.pid)[0];
    block(async {
        let mut grants = tokio::task::JoinSet::new();
        for _ in 0..LEASES {
            let mut client = LeaseClient::new(channel.clone());
            grants.spawn(async move { client.lease_grant(LeaseGrantRequest { ttl: 300, id: 0 }).await });
        }
        let grants = timed(grants.join_all()).await;
        let ids: Vec<i64> = grants.into_iter().map(|granted| granted.unwrap().into_inner().id).collect();
        let wanted: Vec<i64> = ids.iter().copied().cycle().take(KEPT_ALIVE).collect();
        let (open, requests) = burst(wanted.iter().map(|id| LeaseKeepAliveRequest { id: *id }).collect());
        let begun = std::time::Instant::now();
        let mut client = LeaseClient::new(channel.clone());
        let mut answers = timed(client.lease_keep_alive(requests)).await.unwrap().into_inner();
        for (at, id) in wanted.iter().enumerate() {
            let answer = timed(answers.message()).await.unwrap_or_else(|status| panic!("answer {at}: {status:?}"));
            let answer = answer.expect("the stream goes on");
            assert_eq!((answer.id, answer.ttl), (*id, 300), "answer {at}");
        }
        let took = begun.elapsed();
        println!("{KEPT_ALIVE} keep-alives of {LEASES} leases: {took:?}, {before} to {} kB", memory(follower.pid)[0]);
        // One that does not exist has its own answer, on the same stream.
        open.send(LeaseKeepAliveRequest { id: i64::MAX }).await.unwrap();
        let gone = timed(answers.message()).await.unwrap().unwrap();
        assert_eq!((gone.id, gone.ttl), (i64::MAX, 0));
        let mut revoked = tokio::task::JoinSet::new();
        for id in ids {
            let mut client = LeaseClient::new(channel.clone());
            revoked.spawn(async move { client.lease_revoke(LeaseRevokeRequest { id }).await });
        }
        assert!(timed(revoked.join_all()).await.iter().all(Result::is_ok));
    });
}

#[test]
fn a_client_creates_thousands_of_watches_at_once_up_to_the_limit() {
    let (_project, status, api) = whole();
    let node = &status.nodes[0];
    let before = memory(node.pid)[0];
    let channel = api.channel(&node.address);
    let (open, requests) = burst((0..=WATCHES).map(|number| create(format!("many/{number:05}"))).collect());
    let begun = std::time::Instant::now();
    let mut client = WatchClient::new(channel);
    let mut answers = block(timed(client.watch(requests))).unwrap().into_inner();
    let mut next = || {
        let answer = block(timed(answers.message()));
        answer.unwrap_or_else(|status| panic!("{status:?}")).expect("the stream goes on")
    };
    for number in 0..WATCHES {
        let answer = next();
        assert!(answer.created && !answer.canceled, "watch {number}: {answer:?}");
        assert_eq!(answer.watch_id, i64::try_from(number).unwrap());
    }
    println!("{WATCHES} watches: {:?}, {before} to {} kB", begun.elapsed(), memory(node.pid)[0]);
    let refused = next();
    assert!(refused.created && refused.canceled, "{refused:?}");
    assert_eq!((refused.watch_id, refused.cancel_reason.as_str()), (-1, "etcdserver: too many requests"));
    // Only the watch of that key hears of it.
    let begun = std::time::Instant::now();
    for number in [5, 16_000, 7] {
        let revision = put(&api, &status.nodes[1].address, &format!("many/{number:05}"), "x");
        let event = next();
        assert_eq!((event.watch_id, event.events.len()), (number, 1));
        assert_eq!(event.events[0].kv.as_ref().unwrap().mod_revision, revision);
    }
    println!("three puts and their events: {:?}", begun.elapsed());
    let send = |union| block(open.send(WatchRequest { request_union: Some(union) })).unwrap();
    send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 5 }));
    assert!(next().canceled);
    send(RequestUnion::CreateRequest(prefix("many/", "many0")));
    let all = next();
    assert!(all.created && !all.canceled, "{all:?}");
    put(&api, &status.nodes[1].address, "many/00005", "x");
    assert_eq!(next().watch_id, all.watch_id);
    // Another connection has its own.
    super::support::Watching::open(&api, &node.address).create(prefix("many", ""));
}

#[test]
fn a_connection_has_so_many_open_streams_and_other_requests_are_answered() {
    let (_project, status, api) = whole();
    let address = &status.nodes[0].address;
    let channel = api.channel(address);
    let open_one = || {
        let (sender, receiver) = mpsc::channel::<WatchRequest>(1);
        let mut client = WatchClient::new(channel.clone());
        let answers = block(timed(client.watch(ReceiverStream::new(receiver))))?.into_inner();
        Ok::<_, Status>((sender, answers))
    };
    let mut streams = Vec::new();
    let refused = loop {
        match open_one() {
            Ok(stream) => streams.push(stream),
            Err(status) => break status,
        }
    };
    assert_eq!(streams.len(), STREAMS, "{refused:?}");
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "etcdserver: too many requests"));
    // By the same connection, as by another one.
    let mut client = kv_client::KvClient::new(channel.clone());
    block(timed(client.put(put_request("streams", "x")))).unwrap();
    block(timed(kv(&api, address).put(put_request("streams", "x")))).unwrap();
    streams.truncate(STREAMS / 2);
    wait_for(SOON, "a place for a stream", || open_one().map(drop).map_err(|status| format!("{status:?}")));
}

#[test]
fn leases_are_listed_in_the_order_of_their_ends() {
    let (_project, status, api) = whole();
    let lease = |address: &str| LeaseClient::new(api.channel(address));
    // Neither the order of their ids nor that of the grants.
    let grants = [(9_003, 6_000), (9_002, 7_000), (9_001, 8_000), (9_004, 5_000)];
    for (id, ttl) in grants {
        block(lease(&status.nodes[0].address).lease_grant(LeaseGrantRequest { ttl, id })).unwrap();
    }
    for node in &status.nodes {
        let listed = block(lease(&node.address).lease_leases(LeaseLeasesRequest {})).unwrap().into_inner().leases;
        let ours: Vec<i64> =
            listed.into_iter().map(|lease| lease.id).filter(|id| (9_001..=9_004).contains(id)).collect();
        assert_eq!(ours, [9_004, 9_003, 9_002, 9_001], "node {}", node.id);
    }
    for (id, _) in grants {
        block(lease(&status.nodes[0].address).lease_revoke(LeaseRevokeRequest { id })).unwrap();
    }
}
