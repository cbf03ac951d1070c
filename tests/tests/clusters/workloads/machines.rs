//! Stacks on machines: one that dies, and what is left after the end of the cluster.

use std::time::{Duration, Instant};

use disco_tests::{Api, Binaries, Permit, Project, SOON, wait_for};

use super::support::{Client, Stack, add_program, array, running, task_processes, wait_for_capacities};

fn deployed(name: &str) -> Project {
    let project = Project::bootstrapped(name);
    add_program(&project);
    wait_for_capacities(&Api::operator(&project), &project.status().leading().address);
    Stack::new("v1").write(&project);
    project.disco(&["deploy"]).ok();
    project
}

#[test]
fn tasks_of_a_machine_that_dies_run_elsewhere_soon() {
    let _permit = Permit::alone();
    let project = deployed("stack-machine");
    let status = project.status();
    let victim = status.others()[0].clone();
    let machine = project.machine(victim.instance.as_deref());
    let tasks = array(&project.disco(&["ps", "shop/web", "-o", "json"]).ok());
    assert!(tasks.iter().any(|task| task["node"] == victim.id), "{tasks:#?}");
    let nodes = status.nodes.iter().map(|node| node.address.clone()).collect();
    let client = Client::start(&Api::operator(&project), nodes);
    project.kill(machine.pid);
    let killed = Instant::now();
    wait_for(SOON, "three healthy tasks on the other machines", || {
        let tasks = array(&project.disco(&["ps", "shop/web", "-o", "json"]).ok());
        let elsewhere = tasks
            .iter()
            .filter(|task| task["healthy"] == true && task["state"] == "running" && task["node"] != victim.id);
        if elsewhere.count() == 3 { Ok(()) } else { Err(format!("{tasks:#?}")) }
    });
    let took = killed.elapsed();
    println!("{:.1} s after the death of a machine its tasks run elsewhere", took.as_secs_f64());
    let limit = Duration::from_secs(if Binaries::optimised() { 10 } else { 30 });
    assert!(took < limit, "only after {took:?}");
    // The endpoints of the dead machine are not healthy any more.
    client.wait_for_more(200);
    let lost = client.forget_failures();
    client.wait_for_more(400);
    println!("{lost} requests failed at the dead machine's endpoints before");
    client.end("the time after");
}

#[test]
fn the_end_of_a_cluster_leaves_no_process() {
    let project = deployed("stack-destroy");
    let tasks = array(&project.disco(&["ps", "-o", "json"]).ok());
    assert_eq!(running(&tasks, "web").len(), 3, "{tasks:#?}");
    assert!(task_processes(project.processes()).len() >= 8, "{:?}", project.processes());
    project.disco(&["destroy", "-y"]).ok();
    wait_for(SOON, "the end of all processes", || {
        let left = project.processes();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
    });
}

#[test]
fn an_upgrade_of_every_daemon_loses_no_request_and_no_task() {
    let project = deployed("stack-upgrade");
    let web = || running(&array(&project.disco(&["ps", "-o", "json"]).ok()), "web");
    let before = web();
    assert_eq!(before.len(), 3);
    let nodes = project.status().nodes.iter().map(|node| node.address.clone()).collect();
    let client = Client::start(&Api::operator(&project), nodes);
    let new = std::fs::read(project.another_build("new")).unwrap();
    project.disco(&["upgrade"]).ok();
    project.wait_for_status(SOON, "the new program on every node", |now| {
        let runs = |pid: u32| std::fs::read(format!("/proc/{pid}/exe")).is_ok_and(|program| program == new);
        now.healthy && now.nodes.iter().all(|node| runs(node.pid))
    });
    client.wait_for_more(200);
    wait_for(SOON, "the same tasks", || {
        let now = web();
        if now == before { Ok(()) } else { Err(format!("{before:?} became {now:?}")) }
    });
    client.end("an upgrade of every daemon");
}
