//! A client of 200 requests per second straight at the endpoints loses none, whatever the cluster does.

use std::time::Duration;

use disco_tests::{SOON, is_alive, wait_for};

use super::support::{Bed, Client, Stack};

/// Requests after which a change is surely seen by the client.
const AFTER: usize = 200;

#[test]
fn an_update_and_a_rollback_lose_no_request() {
    let bed = Bed::deployed();
    let client = Client::start(&bed.api, bed.cluster.addresses());
    bed.deploy(&Stack::new("v2")).ok();
    client.wait_for_more(AFTER);
    bed.wait_for_version("v2");
    bed.project.disco(&["rollback"]).ok();
    client.wait_for_more(AFTER);
    bed.wait_for_version("v1");
    bed.project.disco(&["restart", "web"]).ok();
    client.wait_for_more(AFTER);
    client.end("an update, a rollback and a restart");
}

#[test]
fn a_drain_and_a_scale_down_lose_no_request() {
    let bed = Bed::deployed();
    let client = Client::start(&bed.api, bed.cluster.addresses());
    bed.project.disco(&["drain", "raw-2"]).ok();
    let tasks = bed.ps();
    assert!(tasks.iter().all(|task| task["node"] != 2 || task["state"] != "running"), "{tasks:#?}");
    bed.wait_for_web(SOON, 3, |node| node != 2);
    let nodes = bed.project.disco(&["nodes", "-o", "json"]).ok().json();
    let drained: Vec<_> = nodes.as_array().expect("a list").iter().map(|node| node["drained"] == true).collect();
    assert_eq!(drained, [false, true, false], "{nodes:#}");
    bed.project.disco(&["undrain", "raw-2"]).ok();
    bed.project.disco(&["scale", "web=5"]).ok();
    bed.wait_for_web(SOON, 5, |_| true);
    bed.project.disco(&["scale", "web=1"]).ok();
    client.wait_for_more(AFTER);
    bed.wait_for_web(SOON, 1, |_| true);
    client.end("a drain and a scale down");
}

#[test]
fn daemons_that_are_killed_in_turn_lose_no_request_and_no_task() {
    let mut bed = Bed::deployed();
    let before = bed.web();
    let client = Client::start(&bed.api, bed.cluster.addresses());
    for node in 0..bed.cluster.nodes.len() {
        bed.cluster.nodes[node].kill();
        client.wait_for_more(AFTER);
        bed.cluster.nodes[node].start();
        bed.cluster.wait_for_members(3);
    }
    client.wait_for_more(AFTER);
    bed.wait_for_same_web(&before);
    client.end("kill -9 of every daemon in turn");
}

#[test]
fn a_leader_that_is_killed_in_the_middle_of_an_update_loses_no_request() {
    let mut bed = Bed::deployed();
    let client = Client::start(&bed.api, bed.cluster.addresses());
    Stack::new("v2").write(&bed.project);
    let deploying = bed.project.start(&["deploy"]);
    wait_for(SOON, "a task of the new version", || {
        let tasks = bed.ps();
        if tasks.iter().any(|task| task["deployment"] == 2) { Ok(()) } else { Err(format!("{tasks:#?}")) }
    });
    let leader = usize::try_from(bed.leader()).expect("a small number") - 1;
    bed.cluster.nodes[leader].kill();
    client.wait_for_more(AFTER);
    bed.cluster.nodes[leader].start();
    deploying.wait(Duration::from_secs(90)).ok();
    client.wait_for_more(AFTER);
    bed.wait_for_version("v2");
    client.end("the death of the leader in an update");
}

#[test]
fn a_task_that_is_killed_is_started_again_on_its_node() {
    let bed = Bed::deployed();
    let (id, pid) = bed.web().into_iter().next().expect("a task");
    let pid = u32::try_from(pid).expect("a process id");
    bed.cluster.kill(pid);
    let again = wait_for(SOON, "another process of the same task", || {
        let tasks = bed.ps();
        let task = tasks.iter().find(|task| task["id"] == id).cloned().ok_or("the task is gone")?;
        let restarted = task["restarts"] == 1 && task["healthy"] == true && task["pid"] != pid;
        if restarted { Ok(task) } else { Err(task.to_string()) }
    });
    assert!(!is_alive(pid) && again["state"] == "running", "{again}");
}
