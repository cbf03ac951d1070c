//! Leaders that can call other nodes but not be called: behind a new firewall, or one that has lost its connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use disco_proto::v1::StatusResponse;
use disco_tests::{Api, Binaries, Closed, Door, Permit, RawCluster, SOON, wait_for};
use serde_json::Value;

/// Three voters, each behind a firewall.
struct Cluster {
    raw: RawCluster,
    doors: Vec<Door>,
    api: Api,
}

impl Cluster {
    fn start() -> Self {
        let mut raw = RawCluster::empty();
        let mut doors = Vec::new();
        for index in 0..3 {
            let mut node = raw.node();
            let behind = SocketAddr::new(node.address.ip(), 5081);
            doors.push(Door::open(node.address, behind));
            node.behind = Some(behind);
            if index == 0 { raw.begin(node) } else { raw.join_as(node) }
        }
        let api = raw.operator();
        let cluster = Self { raw, doors, api };
        cluster.raw.wait_for_members(3);
        cluster
    }

    /// Index of the leader, as the other nodes see it too.
    fn leader(&self) -> usize {
        let status = self.raw.wait_for_members(3);
        let leader = status.nodes.iter().find(|node| node.id == status.leader).expect("who leads is a member");
        self.raw.addresses().iter().position(|address| *address == leader.address).expect("it is one of ours")
    }

    /// The others' addresses.
    fn others(&self, than: usize) -> Vec<String> {
        self.raw.addresses().into_iter().enumerate().filter(|(index, _)| *index != than).map(|(_, a)| a).collect()
    }

    fn status_without(&self, node: usize) -> StatusResponse {
        let others = self.others(node);
        wait_for(SOON, "another leader's word", || match self.api.status(&others[0]) {
            Ok(status) if !status.stale => Ok(status),
            other => Err(format!("{other:?}")),
        })
    }

    fn events(&self, address: &str) -> Vec<Value> {
        let kvs = self.api.list(address, "/disco/events/", true).unwrap();
        kvs.iter().filter_map(|kv| serde_json::from_slice(&kv.value).ok()).collect()
    }
}

/// The limit applies to release builds; debug builds share two cores with everything else.
fn write_limit() -> Duration {
    Duration::from_secs(if Binaries::optimised() { 5 } else { 20 })
}

#[test]
fn a_leader_that_no_node_can_call_hands_over() {
    let _permit = Permit::alone();
    let cluster = Cluster::start();
    let unreachable = cluster.leader();
    let id = cluster.raw.wait_for_members(3).leader;
    let others = cluster.others(unreachable);
    cluster.api.put(&others, "before", "1", SOON).unwrap();

    cluster.doors[unreachable].close(Closed { new: true, established: true });
    let closed = Instant::now();
    cluster.api.put(&others, "after", "2", write_limit()).unwrap_or_else(|error| panic!("{error}"));
    println!("first write {} ms after the leader's port was closed", closed.elapsed().as_millis());

    let after = cluster.status_without(unreachable);
    assert_ne!(after.leader, id, "{after:#?}");
    let recorded = wait_for(SOON, "one event at another node", || {
        let mut events = cluster.events(&others[0]);
        events.retain(|event| event["kind"] == "leader.unreachable");
        if events.len() == 1 { Ok(events.remove(0)) } else { Err(format!("{events:#?}")) }
    });
    let message = recorded["message"].as_str().unwrap();
    assert!(message.contains("cannot connect") && message.contains("hands over to"), "{message}");
    wait_for(SOON, "the same in its log", || {
        let log = cluster.raw.nodes[unreachable].log();
        if log.contains("leader.unreachable") { Ok(()) } else { Err(log) }
    });

    // It still votes, and is healthy when it can be called again; leadership stays with the new leader.
    cluster.doors[unreachable].close(Closed::default());
    let whole = cluster.raw.wait_for_members(3);
    assert_eq!((whole.leader, whole.term), (after.leader, after.term), "{whole:#?}");
}

/// New connections would work, so leadership stays: a caller that waits for an answer opens one.
#[test]
fn connections_that_a_firewall_drops_are_replaced() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    let id = cluster.raw.wait_for_members(3).leader;
    let others = cluster.others(leader);
    // Forwarded writes use a connection that is open from now on.
    cluster.api.put(&others, "before", "1", SOON).unwrap();
    cluster.doors[leader].close(Closed { new: false, established: true });
    for address in &others {
        cluster.api.put(std::slice::from_ref(address), "after", "2", SOON).unwrap_or_else(|error| panic!("{error}"));
    }
    let after = cluster.status_without(leader);
    assert_eq!(after.leader, id, "{after:#?}");
    assert!(cluster.events(&others[0]).iter().all(|event| event["kind"] != "leader.unreachable"));
}
