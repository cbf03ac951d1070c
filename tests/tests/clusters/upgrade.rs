//! New binaries for a cluster under continuous writes.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use disco_tests::{Api, Binaries, NodeStatus, Project, SOON, Status, Writers, wait_for};
use rustix::process::Signal;
use serde_json::Value;

/// Time to start and install a machine, with debug builds.
const LONG: Duration = Duration::from_secs(120);

/// One of this system's programs, which answers `--version` but is no daemon.
fn no_daemon(project: &Project, name: &str) {
    let path = project.outside(name);
    fs::copy(Path::new("/bin").join(name), &path).unwrap();
    project.point_discod_to(&path);
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

/// A file in the folder of programs of a node's machine.
fn installed(project: &Project, status: &Status, id: u64, name: &str) -> PathBuf {
    project.machine(status.node(id).instance.as_deref()).prefix().join("bin").join(name)
}

/// Waits until every node runs this program, no upgrade is in progress, and the cluster is healthy. The leader shows a process that
/// has just ended for a moment.
#[track_caller]
fn all_run(project: &Project, program: &Path, nodes: usize) -> Status {
    wait_for(LONG, "a healthy cluster that runs one program", || {
        let status = project.wait_until_healthy(LONG, nodes);
        let fault = status.nodes.iter().find_map(|node| not_yet(project, &status, node, program));
        fault.map_or(Ok(status), Err)
    })
}

/// Why a node does not run this program, or is still being upgraded.
fn not_yet(project: &Project, status: &Status, node: &NodeStatus, program: &Path) -> Option<String> {
    let name = &node.name;
    let service = project.machine(node.instance.as_deref()).prefix().join("service");
    if !same(&installed(project, status, node.id, "discod"), program) {
        return Some(format!("{name} has another binary"));
    }
    if !same(Path::new(&format!("/proc/{}/exe", node.pid)), program) {
        return Some(format!("{name} runs another binary as process {}", node.pid));
    }
    if service.join("upgrade").exists() || service.join("restart").exists() {
        return Some(format!("{name} is marked"));
    }
    installed(project, status, node.id, "discod.next").exists().then(|| format!("something is left at {name}"))
}

/// A field of every node, in the order of the output.
fn each<'a>(upgraded: &'a Value, field: &str) -> Vec<&'a str> {
    upgraded["nodes"].as_array().unwrap().iter().map(|node| node[field].as_str().unwrap()).collect()
}

#[test]
fn all_nodes_get_the_new_binary_the_leader_last_and_no_acknowledged_write_is_lost() {
    let project = Project::new("upgrade");
    let before = project.bootstrap();
    let api = Api::operator(&project);
    let addresses: Vec<String> = before.nodes.iter().map(|node| node.address.clone()).collect();
    let old = Binaries::get().discod.clone();
    let nothing = project.disco(&["upgrade", "-o", "json"]).ok().json();
    assert_eq!((&nothing["changed"], &nothing["rolled_back"]), (&false.into(), &false.into()), "{nothing:#}");

    let new = project.another_build("new");
    let plan = project.disco(&["upgrade", "--dry-run", "-o", "json"]).ok().json();
    assert_eq!(each(&plan, "role"), ["voter", "voter", "leader"], "{plan:#}");
    assert_eq!((&plan["dry_run"], &plan["changed"]), (&true.into(), &true.into()), "{plan:#}");
    assert_eq!(all_run(&project, &old, 3).pids(), before.pids(), "a dry run restarted something");

    let writers = Writers::start(&api, &addresses, "upgraded/", 4);
    let output = project.disco(&["upgrade", "-o", "json"]).ok();
    // Writes continue after the last node is back.
    writers.wait_for_more(20);
    let upgraded = output.json();
    assert_eq!(each(&upgraded, "action"), ["replaced"; 3], "{upgraded:#}");
    assert_eq!(each(&upgraded, "role"), ["voter", "voter", "leader"], "{upgraded:#}");
    assert_eq!(each(&upgraded, "name"), each(&plan, "name"));
    output.says(&["has received the new binaries", "handing leadership over", "runs the new binary"]);
    let after = all_run(&project, &new, 3);
    for node in &after.nodes {
        assert_ne!(node.pid, before.node(node.id).pid, "{} was not restarted", node.name);
        assert!(same(&installed(&project, &after, node.id, "discod.previous"), &old), "{}", node.name);
    }
    let events = project.disco(&["events", "-o", "json"]).ok().json();
    let kinds: Vec<&str> = events.as_array().unwrap().iter().filter_map(|event| event["kind"].as_str()).collect();
    let steps: Vec<&str> = kinds.into_iter().filter(|kind| kind.starts_with("upgrade.")).collect();
    assert_eq!(
        steps,
        ["upgrade.started", "upgrade.node", "upgrade.node", "upgrade.node", "upgrade.finished"],
        "{events:#}"
    );
    println!("{} writes were acknowledged during the upgrade, none is lost", writers.check(&addresses));

    let again = project.disco(&["upgrade", "-o", "json"]).ok().json();
    assert_eq!((&again["changed"], each(&again, "action")), (&false.into(), vec!["unchanged"; 3]), "{again:#}");
    assert_eq!(all_run(&project, &new, 3).pids(), after.pids(), "the second run restarted something");

    // The leader installs the new binary, and a learner is the first to get the next one.
    project.disco(&["scale", "nodes=4"]).ok();
    project.wait_until_healthy(LONG, 4);
    all_run(&project, &new, 4);
    let newer = project.another_build("newer");
    let upgraded = project.disco(&["upgrade", "-o", "json"]).ok().json();
    assert_eq!(each(&upgraded, "role"), ["learner", "voter", "voter", "leader"], "{upgraded:#}");
    all_run(&project, &newer, 4);
}

#[test]
fn a_binary_that_does_not_serve_is_rolled_back_and_one_that_cannot_run_changes_nothing() {
    let project = Project::new("broken");
    let before = project.bootstrap();
    let old = Binaries::get().discod.clone();

    // Detected before anything is restarted: a script, and half a program.
    fs::write(project.outside("script"), "#!/bin/sh\nexit 1\n".repeat(10)).unwrap();
    project.point_discod_to(&project.outside("script"));
    project.disco(&["upgrade"]).expect(2).says(&["it is a script"]);
    fs::write(project.outside("half"), &fs::read(&old).unwrap()[..8192]).unwrap();
    project.point_discod_to(&project.outside("half"));
    project.disco(&["upgrade"]).expect(1).says(&["does not start"]);
    assert_eq!(all_run(&project, &old, 3).pids(), before.pids());

    // One binary ends repeatedly, the other ends successfully and at once.
    for program in ["sleep", "true"] {
        let before = project.wait_until_healthy(SOON, 3);
        no_daemon(&project, program);
        let output = project.disco(&["upgrade", "--node-timeout", "20s", "-o", "json"]).expect(10);
        let taken_back = output.json();
        assert_eq!(taken_back["rolled_back"], true, "{taken_back:#}");
        assert_eq!(each(&taken_back, "action"), ["rolled_back", "unchanged", "unchanged"], "{taken_back:#}");
        let output = output.says(&["did not come back", "runs the previous binary again", "\"hint\":"]);
        let after = all_run(&project, &old, 3);
        let restarted = after.nodes.iter().filter(|node| node.pid != before.node(node.id).pid).count();
        assert_eq!(restarted, 1, "{before:#?} {after:#?}");
        // No node hands over, and the leader is not restarted. On a busy machine another one may be elected all the same.
        assert!(!output.stderr.contains("handing leadership over"), "{output}");
        assert_eq!(after.node(before.leading().id).pid, before.leading().pid, "{after:#?}");
    }
}

/// Takes a node's address as soon as its daemon releases it, and holds it until requested.
fn squat(address: SocketAddr) -> Arc<AtomicBool> {
    let leave = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&leave);
    std::thread::spawn(move || {
        let mut taken = None;
        while !told.load(Ordering::Relaxed) {
            if taken.is_none() {
                taken = TcpListener::bind(address).ok();
            }
            // Often enough to be there before the daemon's next start, also on a busy machine.
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    leave
}

#[test]
fn a_later_node_that_does_not_return_rolls_back_the_earlier_ones() {
    let project = Project::new("later");
    let before = project.bootstrap();
    let new = project.another_build("new");
    let plan = project.disco(&["upgrade", "--dry-run", "-o", "json"]).ok().json();
    let second = plan["nodes"][1]["id"].as_u64().unwrap();
    let leave = squat(before.node(second).address.parse().unwrap());
    let running = project.start(&["upgrade", "--node-timeout", "20s", "-o", "json"]);
    wait_for(LONG, "the way back", || {
        let said = running.stderr();
        if said.contains("rolling back") { Ok(()) } else { Err(said) }
    });
    leave.store(true, Ordering::Relaxed);
    let output = running.wait(LONG).expect(10);
    let taken_back = output.json();
    assert_eq!(each(&taken_back, "action"), ["rolled_back", "rolled_back", "unchanged"], "{taken_back:#}");
    output.says(&["already in use", &before.node(second).name]);
    let after = all_run(&project, &Binaries::get().discod, 3);
    assert_eq!(after.node(before.leading().id).pid, before.leading().pid, "the leader was restarted");

    // Without the obstacle it succeeds; after an interrupt it continues, and skips completed nodes.
    let mut running = project.start(&["upgrade"]);
    let first = plan["nodes"][0]["id"].as_u64().unwrap();
    wait_for(LONG, "the first node to be done", || {
        let said = running.stderr();
        assert!(!running.has_ended(), "{said}");
        if said.contains(&format!("{}: runs the new binary", after.node(first).name)) { Ok(()) } else { Err(said) }
    });
    running.signal(Signal::INT);
    running.wait(SOON).expect(8).says(&["cancelled", "run the command again"]);
    let between = project.wait_until_healthy(SOON, 3);
    assert!(same(&installed(&project, &between, first, "discod"), &new));
    project.disco(&["upgrade"]).ok();
    let end = all_run(&project, &new, 3);
    assert_eq!(end.node(first).pid, between.node(first).pid, "what was done was done again");
}

#[test]
fn no_voter_is_restarted_while_another_is_down() {
    let project = Project::new("guarded");
    let before = project.bootstrap();
    project.another_build("new");
    let dead = before.others()[0].clone();
    project.kill(project.machine(dead.instance.as_deref()).pid);
    let status = project.wait_for_status(SOON, "the dead node alone not healthy", |now| {
        let is_known = |node: &NodeStatus| node.healthy && node.pid != 0;
        now.nodes.iter().all(|node| is_known(node) == (node.id != dead.id))
    });
    project.disco(&["upgrade"]).expect(5).says(&["not all nodes are healthy", &dead.name, "disco bootstrap"]);
    project.disco(&["upgrade", "--dry-run"]).expect(5).says(&[&dead.name]);
    let living = |status: &Status| -> Vec<u32> {
        status.nodes.iter().filter(|node| node.id != dead.id).map(|node| node.pid).collect()
    };
    let pids = living(&status);
    let after = project.wait_for_status(SOON, &format!("the processes {pids:?}"), |now| living(now) == pids);
    for node in after.nodes.iter().filter(|node| node.id != dead.id) {
        assert!(!installed(&project, &after, node.id, "discod.next").exists(), "{} was sent something", node.name);
    }
}
