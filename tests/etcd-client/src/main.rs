//! Does with a cluster what the crate `etcd-client` can do, with the settings of `disco env`, and prints each thing that was done.
//! A panic says what was otherwise.

use std::time::Duration;

use etcd_client::*;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(setting(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn options() -> ConnectOptions {
    let tls = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(read("ETCDCTL_CACERT")))
        .identity(Identity::from_pem(read("ETCDCTL_CERT"), read("ETCDCTL_KEY")));
    ConnectOptions::new().with_tls(tls).with_timeout(SOON).with_connect_timeout(SOON).with_require_leader(true)
}

async fn connect(endpoints: &[String]) -> Client {
    Client::connect(endpoints, Some(options())).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let endpoints: Vec<String> = setting("ETCDCTL_ENDPOINTS").split(',').map(str::to_owned).collect();
    // One that asks all nodes in turn, and one for each of two nodes.
    let mut all = connect(&endpoints).await;
    let (mut a, mut b) = (connect(&endpoints[..1]).await, connect(&endpoints[1..2]).await);
    keys(&mut all, &mut a, &mut b).await;
    transactions(&mut a, &mut b).await;
    watches(&mut a, &mut b).await;
    leases(&mut a, &mut b).await;
    locks(&mut a, &mut b).await;
    elections(&mut a, &mut b).await;
    cluster(&mut all, endpoints.len()).await;
    refusals(&mut a).await;
}

async fn keys(all: &mut Client, a: &mut Client, b: &mut Client) {
    for n in 0..6 {
        all.put(format!("rs/k{n}"), format!("v{n}"), None).await.unwrap();
    }
    a.put("rs/k0", "new", None).await.unwrap();
    let one = b.get("rs/k0", None).await.unwrap();
    assert_eq!((one.count(), one.kvs()[0].value_str().unwrap(), one.kvs()[0].version()), (1, "new", 2));
    let sorted = GetOptions::new().with_prefix().with_sort(SortTarget::Key, SortOrder::Descend).with_limit(2);
    let range = b.get("rs/k", Some(sorted)).await.unwrap();
    let found: Vec<_> = range.kvs().iter().map(|kv| kv.key_str().unwrap()).collect();
    assert_eq!((found.as_slice(), range.more(), range.count()), (&["rs/k5", "rs/k4"][..], true, 6));
    let before = GetOptions::new().with_revision(one.kvs()[0].mod_revision() - 1);
    assert_eq!(b.get("rs/k0", Some(before)).await.unwrap().kvs()[0].value(), b"v0");
    let deleted = a.delete("rs/k", Some(DeleteOptions::new().with_prefix().with_prev_key())).await.unwrap();
    assert_eq!((deleted.deleted(), deleted.prev_kvs().len()), (6, 6));
    assert_eq!(all.get("rs/k", Some(GetOptions::new().with_prefix())).await.unwrap().count(), 0);
    println!("keys: put, got in order, at a revision, deleted");
}

async fn transactions(a: &mut Client, b: &mut Client) {
    a.put("rs/t", "1", None).await.unwrap();
    let txn = || {
        Txn::new()
            .when([Compare::value("rs/t", CompareOp::Equal, "1"), Compare::version("rs/none", CompareOp::Equal, 0)])
            .and_then([TxnOp::put("rs/t", "2", None), TxnOp::get("rs/t", None)])
            .or_else([TxnOp::get("rs/t", None)])
    };
    let done = b.txn(txn()).await.unwrap();
    let TxnOpResponse::Get(got) = &done.op_responses()[1] else { panic!("{done:?}") };
    assert!(done.succeeded() && got.kvs()[0].value() == b"2", "{done:?}");
    let not_done = a.txn(txn()).await.unwrap();
    assert!(!not_done.succeeded() && not_done.op_responses().len() == 1, "{not_done:?}");
    println!("transactions: one way and the other");
}

async fn watches(a: &mut Client, b: &mut Client) {
    let first = a.put("rs/w1", "x", None).await.unwrap().header().unwrap().revision();
    a.delete("rs/w1", None).await.unwrap();
    let options = WatchOptions::new().with_prefix().with_start_revision(first).with_prev_key();
    let mut stream = soon("a watch", b.watch("rs/w", Some(options))).await.unwrap();
    let (mut seen, mut id) = (Vec::new(), 0);
    while seen.len() < 3 {
        let answer = soon("an event", stream.message()).await.unwrap().unwrap();
        id = answer.watch_id();
        for event in answer.events() {
            let before = event.prev_kv().map_or("", |kv| kv.value_str().unwrap()).to_owned();
            seen.push((event.event_type(), event.kv().unwrap().key_str().unwrap().to_owned(), before));
        }
        if seen.len() == 2 {
            a.put("rs/w2", "y", None).await.unwrap();
        }
    }
    let event = |kind, key: &str, before: &str| (kind, key.to_owned(), before.to_owned());
    let put = EventType::Put;
    assert_eq!(seen, [event(put, "rs/w1", ""), event(EventType::Delete, "rs/w1", "x"), event(put, "rs/w2", "")]);
    stream.request_progress().await.unwrap();
    assert!(soon("progress", stream.message()).await.unwrap().unwrap().events().is_empty());
    stream.cancel(id).await.unwrap();
    assert!(soon("the end", stream.message()).await.unwrap().unwrap().canceled());
    println!("watches: from the past, of what happens, progress, cancelled");
}

async fn leases(a: &mut Client, b: &mut Client) {
    let id = a.lease_grant(60, None).await.unwrap().id();
    a.put("rs/leased", "x", Some(PutOptions::new().with_lease(id))).await.unwrap();
    let (mut keeper, mut answers) = b.lease_keep_alive(id).await.unwrap();
    for _ in 0..3 {
        keeper.keep_alive().await.unwrap();
        assert_eq!(soon("a renewal", answers.message()).await.unwrap().unwrap().ttl(), 60);
    }
    let options = LeaseTimeToLiveOptions::new().with_keys();
    let left = b.lease_time_to_live(id, Some(options)).await.unwrap();
    assert_eq!((left.granted_ttl(), left.keys()), (60, &[b"rs/leased".to_vec()][..]));
    assert!((50..=60).contains(&left.ttl()), "{left:?}");
    assert!(a.leases().await.unwrap().leases().iter().any(|lease| lease.id() == id));
    a.lease_revoke(id).await.unwrap();
    assert_eq!(b.get("rs/leased", None).await.unwrap().count(), 0);
    keeper.keep_alive().await.unwrap();
    assert_eq!(soon("the end", answers.message()).await.unwrap().unwrap().ttl(), 0);
    println!("leases: granted, kept alive, told, revoked");
}

async fn locks(a: &mut Client, b: &mut Client) {
    let lease = a.lease_grant(30, None).await.unwrap().id();
    let held = a.lock("rs/lock", Some(LockOptions::new().with_lease(lease))).await.unwrap();
    assert_eq!(text(held.key()), format!("rs/lock/{lease:x}"));
    // The same lease holds it already.
    let again = b.lock("rs/lock", Some(LockOptions::new().with_lease(lease))).await.unwrap();
    assert_eq!(again.key(), held.key());
    // Another one waits, until the lock is given back.
    let mut waiting = Box::pin(b.lock("rs/lock", None));
    assert!(timeout(Duration::from_millis(500), &mut waiting).await.is_err(), "two hold one lock");
    a.unlock(held.key()).await.unwrap();
    let next = soon("the lock", waiting).await.unwrap();
    assert_ne!(next.key(), held.key());
    // Who goes away loses the place: the next one does not wait for him.
    assert!(timeout(Duration::from_millis(500), a.lock("rs/lock", None)).await.is_err(), "two hold one lock");
    let prefix = || Some(GetOptions::new().with_prefix());
    soon("the place of who went away to go", async {
        while a.get("rs/lock/", prefix()).await.unwrap().count() != 1 {}
    })
    .await;
    b.unlock(next.key()).await.unwrap();
    assert_eq!(a.get("rs/lock/", prefix()).await.unwrap().count(), 0);
    println!("locks: held, waited for, given back, given up");
}

async fn elections(a: &mut Client, b: &mut Client) {
    let (first, second) = (a.lease_grant(30, None).await.unwrap().id(), b.lease_grant(30, None).await.unwrap().id());
    assert!(a.leader("rs/election").await.unwrap_err().to_string().contains("election: no leader"));
    let mut observed = b.observe("rs/election").await.unwrap();
    let won = a.campaign("rs/election", "one", first).await.unwrap();
    let mut campaign = Box::pin(b.campaign("rs/election", "other", second));
    assert!(timeout(Duration::from_millis(500), &mut campaign).await.is_err(), "two lead");
    let leader = won.leader().unwrap().clone();
    a.proclaim("two", Some(ProclaimOptions::new().with_leader(leader.clone()))).await.unwrap();
    assert_eq!(a.leader("rs/election").await.unwrap().kv().unwrap().value(), b"two");
    a.resign(Some(ResignOptions::new().with_leader(leader.clone()))).await.unwrap();
    let now = soon("the election", campaign).await.unwrap();
    assert_eq!(now.leader().unwrap().lease(), second);
    let late = a.proclaim("late", Some(ProclaimOptions::new().with_leader(leader))).await.unwrap_err();
    assert!(late.to_string().contains("election: not leader"), "{late}");
    for value in ["one", "two", "other"] {
        let seen = soon(value, observed.message()).await.unwrap().unwrap();
        assert_eq!(seen.kv().unwrap().value_str().unwrap(), value);
    }
    // Leadership ends with its lease.
    b.lease_revoke(second).await.unwrap();
    assert!(a.leader("rs/election").await.is_err());
    println!("elections: won, observed, proclaimed, resigned, lost with the lease");
}

async fn cluster(all: &mut Client, nodes: usize) {
    let status = all.status().await.unwrap();
    let members = all.member_list().await.unwrap();
    assert_eq!((status.version(), members.members().len()), ("3.6.0", nodes));
    assert!(members.members().iter().any(|member| member.id() == status.leader()), "{status:?}");
    assert!(status.errors().is_empty() && status.raft_applied_index() > 0, "{status:?}");
    assert!(all.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap().alarms().is_empty());
    // Each time at two nodes of three; the one asked may not have been told yet of what another has just answered.
    for n in 0..50 {
        let revision = all.put("rs/last", format!("{n}"), None).await.unwrap().header().unwrap().revision();
        assert_eq!(all.hash_kv(revision).await.unwrap().hash(), all.hash_kv(revision).await.unwrap().hash());
    }
    all.defragment().await.unwrap();
    let (mut snapshot, mut bytes) = (all.snapshot().await.unwrap(), 0);
    while let Some(part) = soon("the snapshot", snapshot.message()).await.unwrap() {
        bytes += part.blob().len();
    }
    assert_eq!(bytes % 512, 32, "a snapshot ends in its checksum");
    println!("cluster: status, {nodes} members, alarms, hashes, a snapshot");
}

async fn refusals(a: &mut Client) {
    let denied = a.put("/disco/x", "1", None).await.unwrap_err();
    assert!(denied.to_string().contains("etcdserver: permission denied"), "{denied}");
    let denied = a.lock("/disco/x", None).await.unwrap_err();
    assert!(denied.to_string().contains("etcdserver: permission denied"), "{denied}");
    let gone = a.lock("rs/lock", Some(LockOptions::new().with_lease(7))).await.unwrap_err();
    assert!(gone.to_string().contains("etcdserver: requested lease not found"), "{gone}");
    assert!(a.resign(None).await.unwrap_err().to_string().contains("field must be provided"));
    println!("refusals: in etcd's words");
}
