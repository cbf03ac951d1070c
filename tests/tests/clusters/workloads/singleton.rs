//! A service that never has two tasks at once.

use std::time::Duration;

use disco_tests::{SOON, is_alive, wait_for};

use super::support::{Bed, get};

/// Lease, drift and the time for a kill, on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

const STACK: &str = "name: shop
services:
  one:
    expose: [80]
    stop_grace_period: 2s
    x-disco:
      process: {path: ./bin/sample, args: [web]}
      health: {http: /healthy}
      singleton: true
    healthcheck: {interval: 500ms, timeout: 2s, start_interval: 100ms, start_period: 20s}
";

/// The node of the healthy task of `one`, its process, and its address.
fn running(bed: &Bed) -> Option<(u64, u32, String)> {
    let tasks = bed.ps();
    let task = tasks.iter().find(|task| task["healthy"] == true && task["state"] == "running")?;
    let pid = u32::try_from(task["pid"].as_u64()?).ok()?;
    Some((task["node"].as_u64()?, pid, task["address"].as_str()?.to_owned()))
}

/// The program's processes, which are never more than one.
fn programs(bed: &Bed) -> Vec<String> {
    let processes = bed.task_processes();
    let programs: Vec<String> = processes.into_iter().filter(|process| !process.contains(" shim ")).collect();
    assert!(programs.len() <= 1, "{programs:#?}");
    programs
}

#[test]
fn a_singleton_without_its_daemon_ends_before_another_one_starts() {
    let mut bed = Bed::new();
    bed.project.write("stack.yml", STACK);
    bed.project.disco(&["deploy"]).ok();
    let (node, pid, address) = wait_for(SOON, "the task", || running(&bed).ok_or("none is healthy"));
    assert_eq!(programs(&bed).len(), 1);
    // The daemon can end nothing any more, and the leader cannot ask it to.
    let index = usize::try_from(node - 1).expect("a small number");
    bed.cluster.nodes[index].kill();
    assert!(get(&address, "/").is_ok(), "the task ended with its daemon");
    // Looked at much more often than anything starts: two would be seen.
    wait_for(LIMIT, "the end of the task", || if programs(&bed).is_empty() { Ok(()) } else { Err("it runs") });
    assert!(!is_alive(pid) && get(&address, "/").is_err());
    wait_for(LIMIT, "the task on another node", || {
        programs(&bed);
        running(&bed).filter(|(other, ..)| *other != node).ok_or_else(|| format!("{:#?}", bed.ps()))
    });
    // When the node comes back, nothing is started there again.
    bed.cluster.nodes[index].start();
    bed.cluster.wait_for_members(3);
    for _ in 0..50 {
        assert_eq!(programs(&bed).len(), 1);
    }
    assert!(running(&bed).is_some_and(|(other, ..)| other != node), "{:#?}", bed.ps());
}
