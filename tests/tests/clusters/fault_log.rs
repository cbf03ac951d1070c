//! Logs that are lost, replaced or damaged, disks that are wiped, and nodes that return at other addresses.

use std::fs;

use disco_proto::v1::RemoveNodeRequest;
use disco_tests::{Api, RawCluster, RawNode, SOON, block, free_ip, wait_for};
use tokio_stream::StreamExt;

/// Writes this number of keys, at the first node that accepts them.
fn write(api: &Api, addresses: &[String], prefix: &str, count: usize) -> Vec<(String, i64)> {
    (0..count)
        .map(|number| {
            let key = format!("{prefix}/{number:04}");
            let revision = api.put(addresses, &key, &key, SOON).unwrap_or_else(|error| panic!("{key}: {error}"));
            (key, revision)
        })
        .collect()
}

/// Every node has every key as it was acknowledged.
fn all_there(api: &Api, addresses: &[String], written: &[(String, i64)]) {
    let newest = written.iter().map(|(_, revision)| *revision).max().unwrap();
    for address in addresses {
        api.wait_for_revision(SOON, address, newest);
        for (key, revision) in written {
            let found = api.get(address, key, true).unwrap();
            assert_eq!(found.map(|kv| kv.mod_revision), Some(*revision), "{key} at {address}");
        }
    }
}

#[test]
fn a_node_without_its_log_does_not_return_under_its_id() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let written = write(&api, &cluster.addresses(), "lost", 20);
    let node = &mut cluster.nodes[1];
    node.kill();
    let (log, aside) = (node.data.join("raft.redb"), node.data.join("aside"));
    fs::rename(&log, &aside).unwrap();
    let refused = node.run(SOON);
    refused.expect(1).says(&["raft.redb` is missing", "hint: put the right file back", "disco node rm"]);
    // Nor with an empty log.
    fs::write(&log, "").unwrap();
    node.run(SOON).expect(1).says(&["not the log that the node had", "hint:"]);
    // With snapshots and no log, even without any other file.
    fs::remove_file(&log).unwrap();
    for name in ["log.mark", "raft.journal"] {
        fs::rename(node.data.join(name), node.data.join(format!("aside-{name}"))).unwrap();
    }
    fs::write(node.data.join("snapshots/00000000000000000001-00000000000000000001.snapshot"), "x").unwrap();
    node.run(SOON).expect(1).says(&["snapshots", "missing"]);
    fs::remove_file(node.data.join("snapshots/00000000000000000001-00000000000000000001.snapshot")).unwrap();
    fs::remove_file(&log).unwrap();
    // With its own log again it has its previous state.
    for name in ["log.mark", "raft.journal"] {
        fs::rename(node.data.join(format!("aside-{name}")), node.data.join(name)).unwrap();
    }
    fs::rename(&aside, &log).unwrap();
    node.start();
    cluster.wait_for_members(3);
    all_there(&api, &cluster.addresses(), &written);
}

/// Repeatedly starts a killed node with flipped bytes in a file, also in its head; afterwards its log is restored, so no other node
/// may run: none can count on what this one acknowledged meanwhile. Returns how often the node refused to serve.
fn damaged(node: &mut RawNode, api: &Api, file: &str, places: usize) -> usize {
    let path = node.data.join(file);
    let log = ["raft.redb", "raft.journal", "log.mark"].map(|name| node.data.join(name));
    let before = log.each_ref().map(|path| fs::read(path).unwrap());
    let put_back = || log.iter().zip(&before).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    let whole = fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refusals = 0;
    // The newest pages may be anywhere in the database's file.
    for offset in (0..places).map(|part| used * part / places).chain([9, 64, 128, 192]) {
        let mut flipped = whole.clone();
        flipped[offset] ^= 0xff;
        fs::write(&path, &flipped).unwrap();
        node.start();
        let ended = wait_for(SOON, "its end, or that it serves", || match node.runs() {
            false => Ok(true),
            true if api.status(&node.address.to_string()).is_ok() => Ok(false),
            true => Err("neither"),
        });
        node.kill();
        // The node may have written, if the damage was harmless.
        put_back();
        if ended {
            refusals += 1;
            // Every error names the file.
            let log = node.log();
            assert!(log.contains("raft.redb") || log.contains("panicked"), "{file} {offset}: {log}");
        }
    }
    refusals
}

#[test]
fn a_damaged_log_is_refused_and_the_other_nodes_continue() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let mut written = write(&api, &cluster.addresses(), "damaged", 50);
    cluster.nodes.iter_mut().for_each(RawNode::kill);
    for (file, places) in [("raft.redb", 12), ("raft.journal", 4)] {
        assert!(damaged(&mut cluster.nodes[2], &api, file, places) > 0, "no damage of {file} was seen");
    }
    cluster.nodes[..2].iter_mut().for_each(RawNode::start);
    let living = [cluster.nodes[0].address.to_string(), cluster.nodes[1].address.to_string()];
    written.extend(write(&api, &living, "damaged-after", 20));
    // With its original log it returns.
    cluster.nodes[2].start();
    cluster.wait_for_members(3);
    all_there(&api, &cluster.addresses(), &written);
}

#[test]
fn a_node_with_a_wiped_disk_returns_as_a_new_node() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let written = write(&api, &cluster.addresses(), "wiped", 20);
    let mut node = cluster.nodes.remove(1);
    node.kill();
    fs::remove_dir_all(&node.data).unwrap();
    // Its token is used up: it does not join with that.
    let refused = node.run(SOON);
    refused.expect(1).says(&["join"]);
    let token = cluster.token(60, 1);
    node.set_token(&token);
    node.start();
    cluster.nodes.push(node);
    let first = cluster.nodes[0].address.to_string();
    let status = wait_for(SOON, "the new node", || match api.status(&first) {
        Ok(status) if status.nodes.iter().any(|node| node.id == 4 && node.healthy) => Ok(status),
        other => Err(format!("{other:#?}")),
    });
    assert!(status.nodes.iter().any(|node| node.id == 2), "what was node 2 is another node now: {status:#?}");
    // An operator removes the old node.
    let mut control = api.control(&first);
    block(async {
        let request = RemoveNodeRequest { node_id: 2, detach: false, force: true };
        let mut steps = control.remove_node(request).await.unwrap().into_inner();
        while let Some(step) = steps.next().await {
            assert_eq!(step.unwrap().error, "");
        }
    });
    let status = cluster.wait_for_members(3);
    assert_eq!(status.nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [1, 3, 4]);
    all_there(&api, &cluster.addresses(), &written);
}

/// Waits until all nodes know all addresses, and a write arrives everywhere.
fn settled(cluster: &RawCluster, api: &Api, key: &str) {
    wait_for(SOON, "the new addresses to be known", || {
        // A node may still be shown as healthy by a report from before its move.
        let status = cluster.wait_for_members(cluster.nodes.len());
        let known = |node: &RawNode| status.nodes.iter().any(|known| known.address == node.address.to_string());
        if cluster.nodes.iter().all(known) { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    let written = write(api, &cluster.addresses(), key, 3);
    all_there(api, &cluster.addresses(), &written);
}

#[test]
fn a_follower_and_a_leader_may_return_at_other_addresses() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let written = write(&api, &cluster.addresses(), "moved", 10);
    let leader = usize::try_from(cluster.wait_for_members(3).leader).unwrap() - 1;
    for (round, index) in [(leader + 1) % 3, leader].into_iter().enumerate() {
        cluster.nodes[index].kill();
        cluster.nodes[index].set_ip(free_ip());
        cluster.nodes[index].start();
        settled(&cluster, &api, &format!("moved-{round}"));
    }
    all_there(&api, &cluster.addresses(), &written);
}

#[test]
fn two_of_three_nodes_may_return_at_other_addresses_at_once() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let written = write(&api, &cluster.addresses(), "both", 10);
    for node in &mut cluster.nodes[1..] {
        node.kill();
        node.set_ip(free_ip());
    }
    for node in &mut cluster.nodes[1..] {
        node.start();
    }
    settled(&cluster, &api, "both-after");
    all_there(&api, &cluster.addresses(), &written);
}

#[test]
fn a_single_node_may_return_at_another_address() {
    let mut cluster = RawCluster::found();
    let api = cluster.operator();
    let written = write(&api, &cluster.addresses(), "alone", 5);
    cluster.nodes[0].stop(SOON);
    cluster.nodes[0].set_ip(free_ip());
    cluster.nodes[0].start();
    settled(&cluster, &api, "alone-after");
    all_there(&api, &cluster.addresses(), &written);
}

/// Others may have entries of its term that it has lost: a new term separates these from its next writes.
#[test]
fn a_leader_that_was_killed_never_leads_again_in_the_same_term() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    for round in 0..3 {
        let before = cluster.wait_for_members(3);
        let leader = usize::try_from(before.leader).unwrap() - 1;
        cluster.nodes[leader].kill();
        cluster.nodes[leader].start();
        let address = cluster.nodes[leader].address.to_string();
        let key = format!("round/{round}");
        api.put(std::slice::from_ref(&address), &key, "x", SOON).unwrap();
        let after = api.status(&address).unwrap();
        assert!(after.term > before.term, "round {round}: {before:#?}\n{after:#?}");
    }
}
