//! Versions that fail: the exit code, the reason, and the old version, which stays untouched.

use std::collections::BTreeMap;
use std::net::TcpListener;

use disco_tests::{Output, SOON, wait_for};

use super::support::{Bed, Stack};

/// Deploys a bad version over a good one, of which no task may be touched.
#[track_caller]
fn fails(bed: &Bed, stack: &Stack, code: i32, words: &[&str]) -> Output {
    let before: BTreeMap<u64, u64> = bed.web();
    let failed = bed.deploy(stack).expect(code).says(words);
    // No task of the version before was touched, and none of the new one is left.
    bed.wait_for_same_web(&before);
    bed.wait_for_version("v1");
    bed.wait_for_count("web", "healthy", 3);
    failed
}

#[test]
fn a_version_that_crashes_goes_back_and_shows_its_last_lines() {
    let bed = Bed::deployed();
    let bad = Stack { environment: "SAMPLE_CRASH: 1", ..Stack::bad("v2") };
    let failed = fails(&bed, &bad, 10, &["the previous version runs", "cannot read part 13", "reading part 12"]);
    // The last ten lines, and no more.
    assert!(!failed.stderr.contains("reading part 2 of"), "{failed}");
    assert_eq!(failed.json()["state"], "rolled_back");
    let deployments = bed.project.disco(&["deployments", "-o", "json"]).ok().json();
    let last = deployments.as_array().and_then(|all| all.last()).expect("a deployment");
    assert!(last["state"] == "rolled_back" && last["error"].is_string(), "{last}");
    // What runs is the first deployment.
    let again = bed.deploy(&Stack::new("v1")).ok().says(&["nothing to change"]).json();
    assert_eq!((&again["deployment"], &again["state"]), (&1.into(), &"succeeded".into()), "{again}");
}

#[test]
fn a_version_that_is_never_healthy_goes_back_and_shows_its_last_probe() {
    let bed = Bed::deployed();
    let bad = Stack { environment: "SAMPLE_UNHEALTHY: no database", ..Stack::bad("v2") };
    fails(&bed, &bad, 10, &["the previous version runs", "GET /healthy", "503", "no database"]);
}

#[test]
fn a_file_that_is_missing_is_named_with_its_place() {
    let bed = Bed::deployed();
    let bad = Stack { path: "./bin/gone", ..Stack::bad("v2") };
    let failed = fails(&bed, &bad, 2, &["`./bin/gone` of the service `web` does not exist"]);
    let error: serde_json::Value =
        serde_json::from_str(failed.stderr.lines().last().unwrap_or_default()).expect("an error");
    assert_eq!((&error["error"]["place"]["file"], &error["error"]["place"]["line"]), (&"stack.yml".into(), &8.into()));
    let deployments = bed.project.disco(&["deployments", "-o", "json"]).ok().json();
    assert_eq!(deployments.as_array().map(Vec::len), Some(1), "nothing was sent: {deployments}");
}

#[test]
fn a_version_for_which_no_node_has_room_is_not_placed() {
    let bed = Bed::deployed();
    let bad = Stack { deploy: "resources: {reservations: {memory: 900g}}", ..Stack::bad("v2") };
    fails(&bed, &bad, 11, &["the previous version runs", "memory"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let bed = Bed::deployed();
    let address = |node: &disco_tests::RawNode| format!("{}:28437", node.address.ip());
    let _taken: Vec<TcpListener> =
        bed.cluster.nodes.iter().map(|node| TcpListener::bind(address(node)).expect("the port is free")).collect();
    // A port of the node can be had once, so an old task ends first: one, and no other.
    let bad = Stack { keys: "ports: [{target: 80, published: 28437, mode: host}]", ..Stack::bad("v2") };
    let before = bed.web();
    let output = bed.deploy(&bad);
    assert!([10, 11].contains(&output.code), "{output}");
    let output = output.says(&["28437", "the previous version runs"]);
    bed.wait_for_web(SOON, 3, |_| true);
    bed.wait_for_version("v1");
    let kept = bed.web().into_iter().filter(|(id, pid)| before.get(id) == Some(pid)).count();
    assert!(kept >= 2, "{kept} of {before:?} are left: {output}");
}

#[test]
fn a_first_version_that_fails_leaves_nothing() {
    let bed = Bed::new();
    let bad = Stack { environment: "SAMPLE_CRASH: 1", ..Stack::bad("v1") };
    bed.deploy(&bad).expect(1).says(&["deployment 1 of `shop` failed", "cannot read part 13"]);
    wait_for(SOON, "no task", || {
        let left = bed.web();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    // The next one is as the first.
    bed.deploy(&Stack::new("v2")).ok();
    bed.wait_for_version("v2");
}

#[test]
fn what_cannot_be_deployed_yet_is_refused_before_anything_is_sent() {
    let bed = Bed::deployed();
    let before = bed.ps();
    bed.project.write("stack.yml", "name: shop\nservices:\n  web: {image: nginx}\n");
    bed.project.disco(&["deploy"]).expect(2).says(&["`web` is a container", "stack.yml:3:9", "x-disco"]);
    bed.wait_for_same_ps(&before);
}
