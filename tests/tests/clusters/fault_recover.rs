//! A permanently lost quorum.

use std::collections::HashMap;

use disco_proto::v1::{RecoverRequest, RelocateRequest};
use disco_tests::{Api, RawCluster, SOON, block, free_ip, wait_for};
use tonic::Code;

fn recover(api: &Api, address: &str, lost: &[u64]) -> Result<(), tonic::Status> {
    let mut control = api.control(address);
    block(control.recover(RecoverRequest { lost: lost.to_vec() })).map(|_| ())
}

#[test]
fn a_cluster_continues_from_one_survivor_of_three_and_grows_again() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let addresses = cluster.addresses();
    let mut revisions = Vec::new();
    for number in 0..30 {
        let key = format!("kept/{number}");
        revisions.push((key.clone(), api.put(&addresses, &key, &key, SOON).unwrap()));
    }
    // With a quorum every node refuses.
    for address in &addresses {
        let refused = recover(&api, address, &[2, 3]).unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(refused.message().contains("quorum"), "{refused}");
    }
    let newest = revisions.last().unwrap().1;
    api.wait_for_revision(SOON, &addresses[2], newest);
    let gone: Vec<_> = cluster.nodes.drain(..2).collect();
    for mut node in gone {
        node.kill();
    }
    // A node that answers is not lost.
    let refused = recover(&api, &addresses[2], &[1, 3]).unwrap_err();
    assert!(refused.message().contains("not lost"), "{refused}");
    recover(&api, &addresses[2], &[1, 2]).unwrap();
    let node = &mut cluster.nodes[0];
    node.wait_for_end(SOON);
    assert!(node.log().contains("restart requested"), "{}", node.log());
    node.start();
    wait_for(SOON, "the survivor to lead alone", || match api.status(&addresses[2]) {
        Ok(status) if status.leader == 3 && status.healthy && status.nodes.len() == 1 => Ok(()),
        other => Err(format!("{other:#?}")),
    });
    for (key, revision) in &revisions {
        let found = api.get(&addresses[2], key, false).unwrap();
        assert_eq!(found.map(|kv| kv.mod_revision), Some(*revision), "{key}");
    }
    // The other nodes' records are removed, and their ids are not used again.
    wait_for(SOON, "the others' records to go", || {
        let nodes = api.list(&addresses[2], "/disco/nodes/", false).unwrap();
        if nodes.len() == 1 { Ok(()) } else { Err(format!("{nodes:?}")) }
    });
    cluster.join();
    cluster.join();
    let status = cluster.wait_for_members(3);
    assert_eq!(status.nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [3, 4, 5]);
    let last = api.put(&cluster.addresses(), "after", "1", SOON).unwrap();
    for address in cluster.addresses() {
        api.wait_for_revision(SOON, &address, last);
        assert_eq!(api.list(&address, "kept/", true).unwrap().len(), 30, "at {address}");
    }
}

#[test]
fn the_second_of_two_survivors_of_five_returns_by_itself() {
    let mut cluster = RawCluster::with_nodes(5);
    let api = cluster.operator();
    let addresses = cluster.addresses();
    let revision = api.put(&addresses, "kept", "1", SOON).unwrap();
    for address in &addresses {
        api.wait_for_revision(SOON, address, revision);
    }
    let gone: Vec<_> = cluster.nodes.drain(..3).collect();
    for mut node in gone {
        node.kill();
    }
    // The node that lacks entries refuses; if both have the same, either may continue.
    let mut asked = cluster.addresses();
    let from = match recover(&api, &asked[0], &[1, 2, 3]) {
        Ok(()) => 0,
        Err(refused) => {
            assert!(refused.message().contains("has more of the log"), "{refused}");
            recover(&api, &asked[1], &[1, 2, 3]).unwrap();
            1
        }
    };
    let pid = cluster.nodes[1 - from].pid();
    cluster.nodes[from].wait_for_end(SOON);
    cluster.nodes[from].start();
    let status = wait_for(SOON, "both to be members again", || match api.status(&asked[from]) {
        // A leader that was just elected shows the process id 0 until a node's first report.
        Ok(status) if status.nodes.len() == 2 && status.healthy && status.nodes.iter().all(|node| node.pid != 0) => {
            Ok(status)
        }
        other => Err(format!("{other:#?}")),
    });
    assert!(status.nodes.iter().any(|node| node.pid == pid), "the other was not started again: {status:#?}");
    let last = api.put(&asked, "after", "1", SOON).unwrap();
    let states: Vec<_> = asked
        .drain(..)
        .map(|address| {
            api.wait_for_revision(SOON, &address, last);
            assert_eq!(api.get(&address, "kept", true).unwrap().unwrap().mod_revision, revision);
            api.list(&address, "k", true).unwrap()
        })
        .collect();
    assert_eq!(states[0], states[1]);
}

#[test]
fn nodes_that_all_have_new_addresses_stay_members_with_recover_addresses() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let revision = api.put(&cluster.addresses(), "kept", "1", SOON).unwrap();
    for address in cluster.addresses() {
        api.wait_for_revision(SOON, &address, revision);
    }
    let project = cluster.project();
    project.disco(&["status"]).ok();
    for node in &mut cluster.nodes {
        node.kill();
        node.set_ip(free_ip());
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    let addresses = cluster.addresses();
    for address in &addresses {
        wait_for(SOON, "the node's answer", || match api.status(address) {
            Ok(status) if status.stale => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    // The message is correct also if only one node is known: the others live.
    let all = addresses.join(",");
    let one = ["recover", "--dry-run", "--address", &addresses[0]];
    project.disco(&one).expect(5).says(&["may be alive at new addresses", "--addresses"]);
    project.disco(&["recover", "--dry-run", "--address", &all]).expect(5).says(&["do not find each other"]);
    project.disco(&["recover", "--addresses", &addresses[0]]).expect(5).says(&["1 of 3 voters"]);
    let planned = ["recover", "--dry-run", "--addresses", &all];
    project.disco(&planned).ok().says(&["is at", "but the membership has", "no node is given up"]);
    // An invalid address is refused, and changes nothing.
    let mut control = api.control(&addresses[0]);
    let wrong = RelocateRequest { addresses: HashMap::from([(2, "here".to_owned())]) };
    let refused = block(control.relocate(wrong)).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");

    project.disco(&["recover", "--addresses", &all]).ok().says(&["leads"]);
    let status = wait_for(SOON, "three nodes at their new addresses", || match api.status(&addresses[0]) {
        Ok(status) if status.healthy && status.nodes.iter().all(|node| addresses.contains(&node.address)) => Ok(status),
        other => Err(format!("{other:#?}")),
    });
    assert_eq!(status.nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(api.get(&addresses[1], "kept", false).unwrap().unwrap().mod_revision, revision);
    // The given addresses are no longer needed.
    for node in &cluster.nodes {
        let file = node.data.join("addresses.json");
        wait_for(SOON, "the given addresses to be deleted", || if file.exists() { Err("there") } else { Ok(()) });
    }
}
