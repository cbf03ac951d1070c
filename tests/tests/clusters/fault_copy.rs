//! A data folder that is copied, and started at another address.

use disco_proto::v1::StatusResponse;
use disco_tests::{Api, RawCluster, RawNode, SOON, wait_for};
use serde_json::Value;

fn events(api: &Api, address: &str, kind: &str) -> Vec<String> {
    let kvs = api.list(address, "/disco/events/", true).unwrap();
    let events = kvs.iter().filter_map(|kv| serde_json::from_slice::<Value>(&kv.value).ok());
    events.filter(|event| event["kind"] == kind).map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

/// The only event of this kind, once the node at the address has it.
fn one_event(api: &Api, address: &str, kind: &str) -> String {
    wait_for(SOON, &format!("one event {kind}"), || match &events(api, address, kind)[..] {
        [event] => Ok(event.clone()),
        recorded => Err(format!("{recorded:#?}")),
    })
}

/// Starts it, and waits until it was refused and the status at the address shows that.
fn start_refused(api: &Api, copy: &mut RawNode, address: &str) -> StatusResponse {
    const SAID: &str = "the leader does not receive this node's reports";
    let own = copy.address.to_string();
    let before = copy.log().matches(SAID).count();
    copy.start();
    wait_for(SOON, "the copy's refusal", || {
        let log = copy.log();
        let said = log.matches(SAID).count() > before && log.contains("data folder");
        if said { Ok(()) } else { Err(log) }
    });
    wait_for(SOON, "a status that names the copy", || match api.status(address) {
        Ok(status) if status.warnings.iter().any(|warning| warning.contains(&own)) => Ok(status),
        other => Err(format!("{other:?}")),
    })
}

#[test]
fn a_copied_data_folder_is_refused_and_a_node_may_move() {
    let mut cluster = RawCluster::with_nodes(3);
    let (api, addresses) = (cluster.operator(), cluster.addresses());
    let status = cluster.wait_for_members(3);
    let leader = status.nodes.iter().find(|node| node.id == status.leader).unwrap().address.clone();
    let index = addresses.iter().position(|address| *address != leader).unwrap();
    let own = addresses[index].clone();
    let other = addresses.iter().find(|address| **address != own && **address != leader).unwrap().clone();
    let id = status.nodes.iter().find(|node| node.address == own).unwrap().id;

    // At first its start has the same number as the original's, then a higher one.
    cluster.nodes[index].kill();
    let mut copy = cluster.copy_of(index);
    let copied = copy.address.to_string();
    cluster.nodes[index].start();
    cluster.wait_for_members(3);
    start_refused(&api, &mut copy, &other);
    copy.kill();
    start_refused(&api, &mut copy, &other);
    let status = wait_for(SOON, "three healthy nodes in a cluster that is not", || match api.status(&other) {
        Ok(status) if !status.healthy && status.nodes.iter().all(|node| node.healthy) => Ok(status),
        other => Err(format!("{other:?}")),
    });
    assert!(status.nodes.iter().any(|node| node.id == id && node.address == own), "{status:#?}");
    let recorded = one_event(&api, &other, "node.duplicate");
    assert!(recorded.contains(&copied) && recorded.contains(&own), "{recorded}");

    // It does not vote: when the leader dies the two others elect one, and the copy can answer no request.
    let dead = addresses.iter().position(|address| *address == leader).unwrap();
    cluster.nodes[dead].kill();
    api.put(&[own.clone(), other.clone()], "elected", "1", SOON).unwrap();
    assert!(api.get(&copied, "elected", false).is_err(), "the copy answered a linearizable read");
    cluster.nodes[dead].start();
    cluster.wait_for_members(3);
    assert_eq!(events(&api, &other, "node.moved"), Vec::<String>::new());

    // The node has acknowledged entries since that the copy lacks: the copy is refused also after the node is gone.
    cluster.nodes[index].kill();
    copy.kill();
    let status = start_refused(&api, &mut copy, &other);
    assert!(status.nodes.iter().any(|node| node.id == id && node.address == own), "{status:#?}");
    assert_eq!(events(&api, &other, "node.moved"), Vec::<String>::new());
    copy.kill();

    // But the node itself may return at another address, also on a later copy.
    let moved = cluster.copy_of(index);
    let address = moved.address.to_string();
    cluster.nodes[index] = moved;
    cluster.nodes[index].start();
    wait_for(SOON, "the node at its new address", || match api.status(&other) {
        Ok(status) if status.nodes.iter().any(|node| node.id == id && node.address == address) => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
    cluster.wait_for_members(3);
    let recorded = events(&api, &other, "node.duplicate");
    assert!(recorded.iter().all(|text| text.contains(&copied)), "{recorded:#?}");
    one_event(&api, &other, "node.moved");
}
