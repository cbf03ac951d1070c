//! Leaders that die, stop, and hang: acknowledged writes remain, and writes soon succeed again.

use std::time::{Duration, Instant};

use disco_tests::{Api, Binaries, Project, SOON, Shared, Status, Turn, Writers, block, wait_for};
use rustix::process::Signal;

static CLUSTER: Shared<Project> = Shared::alone(|| Project::bootstrapped("failover"));

/// The cluster, with all nodes healthy.
fn whole() -> (Turn<Project>, Status, Api, Vec<String>) {
    let (project, status) = CLUSTER.whole();
    let api = Api::operator(&project);
    let addresses = status.nodes.iter().map(|node| node.address.clone()).collect();
    (project, status, api, addresses)
}

/// The limit applies to release builds (`.github/workflows/nightly.yml`); a debug build may be ten times slower.
fn write_limit() -> Duration {
    Duration::from_secs(if Binaries::optimised() { 1 } else { 15 })
}

#[test]
fn after_the_leaders_death_a_write_succeeds_soon_and_the_leader_returns_as_a_voter() {
    let (project, before, api, addresses) = whole();
    api.put(&addresses, "before", "1", SOON).unwrap();
    let dead = before.leading().clone();
    project.kill(dead.pid);
    let killed = Instant::now();
    api.put(&addresses, "after", "2", write_limit()).unwrap_or_else(|error| panic!("{error}"));
    let took = killed.elapsed();
    assert!(took < write_limit(), "the first write after the leader's death took {took:?}");
    println!("first write {} ms after kill -9 of the leader", took.as_millis());

    let after = project.wait_for_status(SOON, "the dead node's return", |now| {
        now.healthy && now.voters() == 3 && now.node(dead.id).pid != dead.pid
    });
    // The present leader: the dead one may be back before the others have elected another.
    assert!(after.term >= before.term, "{after:#?}");
    for address in &addresses {
        for (key, value) in [("before", "1"), ("after", "2")] {
            let found = api.get(address, key, false).unwrap().unwrap_or_else(|| panic!("{key} is not at {address}"));
            assert_eq!(found.value, value, "{key} at {address}");
        }
    }
}

#[test]
fn the_command_line_writes_across_the_leaders_death_too() {
    let (project, before, ..) = whole();
    project.kill(before.leading().pid);
    let output = project.disco(&["kv", "put", "by-hand", "x"]).ok();
    assert!(output.took < Duration::from_secs(if Binaries::optimised() { 2 } else { 20 }), "{output}");
    assert_eq!(project.get("by-hand").as_deref(), Some("x"));
}

#[test]
fn killing_all_nodes_at_once_loses_no_acknowledged_write() {
    let (project, before, api, addresses) = whole();
    let writers = Writers::start(&api, &addresses, "lost/", 8);
    for node in &before.nodes {
        project.kill(node.pid);
    }
    writers.stop();
    let after = project.wait_for_status(SOON, "the return of all three", |now| {
        now.healthy && now.nodes.len() == 3 && now.nodes.iter().all(|node| node.pid != before.node(node.id).pid)
    });
    assert!(after.term >= before.term, "{after:#?}");
    println!("{} acknowledged writes are on all three nodes", writers.check(&addresses));
}

#[test]
fn a_leader_that_is_stopped_hands_over_first() {
    let (project, before, api, addresses) = whole();
    let old = before.leading().clone();
    let others: Vec<_> = addresses.iter().filter(|address| **address != old.address).cloned().collect();
    project.signal(old.pid, Signal::TERM);
    let start = Instant::now();
    // The others know of the handover; no election timeout passes.
    let new = wait_for(SOON, "another leader", || match api.status(&others[0]) {
        Ok(status) if status.leader != 0 && status.leader != old.id => Ok(status.leader),
        Ok(status) => Err(format!("leader {} in term {}", status.leader, status.term)),
        Err(status) => Err(status.to_string()),
    });
    let took = start.elapsed();
    assert!(took < write_limit(), "the handover took {took:?}");
    api.put(&others, "handed", "over", write_limit()).unwrap();
    println!("leadership went from {} to {new} in {} ms", old.id, took.as_millis());
    // After a stop the daemon stays stopped, as any service, until `bootstrap` starts it. For a moment the new leader considers it
    // healthy: `bootstrap` looks itself.
    wait_for(SOON, "the end of the process", || {
        if project.daemons().contains(&old.pid) { Err(format!("process {} runs", old.pid)) } else { Ok(()) }
    });
    project.disco(&["bootstrap", "-y"]).ok();
    let back = project.wait_until_healthy(SOON, 3);
    assert!(![0, old.pid].contains(&back.node(old.id).pid), "{back:#?}");
    // The log of the machine has the lines of the earlier process too.
    let log = project.machine(old.instance.as_deref()).log();
    assert!(log.contains("handed over leadership"), "{log}");
}

#[test]
fn a_paused_leader_is_replaced_and_steps_down_when_it_resumes() {
    let (project, before, api, addresses) = whole();
    let old = before.leading().clone();
    let others: Vec<_> = addresses.iter().filter(|address| **address != old.address).cloned().collect();
    project.signal(old.pid, Signal::STOP);
    let written = api.put(&others, "while-it-hangs", "1", SOON);
    project.signal(old.pid, Signal::CONT);
    let revision = written.unwrap();
    // The request may have arrived before it knew: its answer must have the new state nevertheless.
    let read = wait_for(SOON, "an answer of the old leader", || {
        api.get(&old.address, "while-it-hangs", false).map_err(|e| e.to_string())
    });
    assert_eq!(read.map(|kv| kv.mod_revision), Some(revision));
    let after = project.wait_until_healthy(SOON, 3);
    assert_eq!(after.node(old.id).pid, old.pid, "it was not restarted");
    assert_ne!(after.leader, Some(old.id), "{after:#?}");
}

#[test]
fn with_two_of_three_nodes_stopped_commands_report_the_missing_quorum() {
    let (project, before, api, addresses) = whole();
    let stopped: Vec<_> = before.others().into_iter().map(|node| node.pid).collect();
    for pid in &stopped {
        project.signal(*pid, Signal::STOP);
    }
    let leader = before.leading().address.clone();
    let refused = block(api.put_async(std::slice::from_ref(&leader), "no-quorum", "x", Duration::from_secs(2)));
    let looked = project.disco(&["kv", "put", "no-quorum-2", "x", "--timeout", "20s"]);
    let status = project.disco(&["status", "-o", "json"]);
    for pid in &stopped {
        project.signal(*pid, Signal::CONT);
    }
    assert!(refused.is_err(), "written without a quorum: {refused:?}");
    // The leader has it in its log, and may replicate it later.
    looked.expect(9).says(&["quorum", "may still be applied", "waiting: the cluster does not answer yet"]);
    // The status is shown nevertheless, and not as healthy.
    let status = status.ok().json();
    assert_eq!(status["healthy"], false, "{status:#}");
    project.wait_until_healthy(SOON, 3);
    api.put(&addresses, "quorum-again", "1", SOON).unwrap();
}
