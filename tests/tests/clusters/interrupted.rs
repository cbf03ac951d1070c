//! A bootstrap that is killed at any moment, and the next one.

use std::time::{Duration, Instant};

use disco_tests::{Project, SOON, Status, wait_for};
use rustix::process::Signal;

/// The cluster of three, and no other machine.
#[track_caller]
fn whole(project: &Project) -> Status {
    let status = project.bootstrap();
    assert!(status.healthy, "{status:#?}");
    assert_eq!(status.nodes.len(), 3, "{status:#?}");
    assert_eq!(status.voters(), 3, "{status:#?}");
    let mut used: Vec<_> = status.nodes.iter().filter_map(|node| node.instance.clone()).collect();
    used.sort();
    wait_for(SOON, "the machines of the nodes and no more", || {
        let mut machines: Vec<_> = project.machines().into_iter().map(|machine| machine.id).collect();
        machines.sort();
        if machines == used { Ok(()) } else { Err(format!("{machines:?}, used are {used:?}")) }
    });
    status
}

/// Attempts to kill a bootstrap before it ends.
const TRIES: u32 = 3;

fn points() -> u32 {
    if std::env::var_os("DISCO_TEST_LONG").is_some() { 40 } else { 8 }
}

#[test]
fn bootstrap_killed_at_any_moment_and_run_again_makes_one_cluster() {
    let points = points();
    // The first bootstrap is measured, and so is each that ends before its kill: the load of the machine changes.
    let start = Instant::now();
    whole(&Project::new("cut-short"));
    let (mut whole_time, mut cut) = (start.elapsed(), 0);
    for point in 1..points {
        for _ in 0..TRIES {
            match killed_at(whole_time * point / points) {
                Ok(()) => {
                    cut += 1;
                    break;
                }
                Err(took) => whole_time = took,
            }
        }
    }
    assert!(cut >= points / 2, "only {cut} of {points} were killed in time");
}

/// A bootstrap that is killed after this time, and two more. Returns its duration if it ended earlier.
fn killed_at(moment: Duration) -> Result<(), Duration> {
    let project = Project::new("cut-short");
    let mut running = project.start(&["bootstrap", "-y"]);
    let start = Instant::now();
    running.ended_within(moment);
    let took = start.elapsed();
    running.signal(Signal::KILL);
    let was_killed = running.wait(SOON).code == -9;
    let id = cluster_id(&project);
    whole(&project);
    if let Some(id) = id {
        assert_eq!(cluster_id(&project), Some(id), "killed after {moment:?}, another cluster came of it");
    }
    // The remains of the first run do not repeat its next steps.
    whole(&project);
    if was_killed { Ok(()) } else { Err(took) }
}

/// The cluster's id, once it was chosen.
fn cluster_id(project: &Project) -> Option<String> {
    let text = std::fs::read(project.path(".disco/cluster.json")).ok()?;
    let record: serde_json::Value = serde_json::from_slice(&text).expect("the record is whole at any time");
    Some(record["id"].as_str().expect("it has an id").to_owned())
}

#[test]
fn bootstrap_killed_with_the_machine_it_was_making_succeeds_when_run_again() {
    let project = Project::new("both-cut");
    let mut running = project.start(&["bootstrap", "-y"]);
    wait_for(SOON, "the first machine", || {
        let machines = project.machines();
        assert!(!running.has_ended(), "{}", running.stderr());
        match machines.first() {
            Some(machine) if machine.pid != 0 => Ok(()),
            _ => Err(format!("{machines:?}")),
        }
    });
    running.signal(Signal::KILL);
    running.wait(SOON);
    for machine in project.machines() {
        project.kill(machine.pid);
    }
    wait_for(SOON, "the end of all that ran on it", || {
        let left = project.processes();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    whole(&project);
}

#[test]
fn bootstrap_killed_during_the_clusters_installation_leaves_that_to_the_cluster() {
    let project = Project::new("half-made");
    let mut running = project.start(&["bootstrap", "-y"]);
    // A daemon is installed, but its service is not configured yet.
    wait_for(SOON, "a machine that is being installed", || {
        assert!(!running.has_ended(), "{}", running.stderr());
        let home = |id: &str| project.path(&format!(".disco/local/{id}/home/disco"));
        let is_half_made =
            |id: &&str| home(id).join("bin/discod").exists() && !home(id).join("service/service.json").exists();
        ["local-2", "local-3"].into_iter().find(is_half_made).map(|_| ()).ok_or("none")
    });
    running.signal(Signal::KILL);
    running.wait(SOON);
    whole(&project);
}

#[test]
fn one_of_two_concurrent_bootstraps_succeeds_and_the_other_is_refused() {
    let project = Project::new("two-at-once");
    let both = [project.start(&["bootstrap", "-y"]), project.start(&["bootstrap", "-y"])];
    let mut ended = both.map(|running| running.wait(Duration::from_secs(120)));
    ended.sort_by_key(|output| output.code);
    let [winner, other] = ended;
    let winner = winner.ok();
    let other = other.expect(5).says(&["in use", "disco bootstrap", "hint:"]);
    assert!(other.took < winner.took, "the loser waited: {other}");
    whole(&project);

    let mut running = project.start(&["bootstrap", "-y"]);
    if !running.has_ended() {
        // Reading needs no lock.
        project.disco(&["status"]).ok();
    }
    running.wait(SOON).ok();
}

#[test]
fn an_interrupt_cancels_bootstrap_and_a_second_run_succeeds() {
    let project = Project::new("interrupted");
    let mut running = project.start(&["bootstrap", "-y"]);
    wait_for(SOON, "the work's beginning", || {
        assert!(!running.has_ended(), "{}", running.stderr());
        if project.machines().is_empty() { Err("no machine") } else { Ok(()) }
    });
    running.signal(Signal::INT);
    let output = running.wait(SOON).expect(8).says(&["cancelled", "again"]);
    assert!(!output.stderr.contains("panicked"), "{output}");
    project.disco(&["destroy", "-y"]).ok();
    project.wait_for_no_process();
    whole(&project);
}
