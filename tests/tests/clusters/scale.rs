//! More nodes and fewer, started and removed by the cluster itself.

use std::collections::BTreeSet;
use std::time::Duration;

use disco_tests::{NodeStatus, Project, SOON, Status, client_script, wait_for};
use rustix::fs::{FlockOperation, flock};

/// Time to start and install several machines at once, with debug builds.
const LONG: Duration = Duration::from_secs(120);

/// No machines other than those of the nodes.
#[track_caller]
fn no_machine_is_left_over(project: &Project, status: &Status) {
    let mut used: Vec<_> = status.nodes.iter().filter_map(|node| node.instance.clone()).collect();
    used.sort();
    wait_for(SOON, "the machines of the nodes and no more", || {
        let mut machines: Vec<_> = project.machines().into_iter().map(|machine| machine.id).collect();
        machines.sort();
        let running = project
            .processes()
            .into_iter()
            .filter_map(|process| process.machine)
            .filter(|id| !used.contains(id))
            .count();
        if machines == used && running == 0 {
            Ok(())
        } else {
            Err(format!("machines {machines:?}, nodes on {used:?}, {running} stray processes"))
        }
    });
}

#[test]
fn scaling_to_five_and_to_one_keeps_the_data_and_never_reuses_node_ids() {
    let project = Project::new("scale");
    let three = project.bootstrap();
    project.put("kept", "yes");

    let plan = project.disco(&["scale", "nodes=5", "--dry-run"]).ok();
    assert_eq!(project.machines().len(), 3, "a dry run made a machine: {plan}");

    project.disco(&["scale", "nodes=5"]).ok();
    let five = project.wait_until_healthy(LONG, 5);
    assert_eq!(five.voters(), 5, "{five:#?}");
    for node in &three.nodes {
        assert_eq!(five.node(node.id).pid, node.pid, "node {} was restarted", node.id);
    }

    project.disco(&["scale", "nodes=4"]).ok();
    let four = project.wait_until_healthy(LONG, 4);
    assert_eq!(four.voters(), 3, "{four:#?}");
    no_machine_is_left_over(&project, &four);
    a_learner_gets_the_vote_of_a_voter_that_died(&project, &four);

    project.disco(&["scale", "nodes=1", "-y"]).ok();
    let one = project.wait_until_healthy(LONG, 1);
    no_machine_is_left_over(&project, &one);
    assert_eq!(project.get("kept").as_deref(), Some("yes"));

    project.disco(&["scale", "nodes=3"]).ok();
    let again = project.wait_until_healthy(LONG, 3);
    let oldest = five.nodes.iter().map(|node| node.id).max().unwrap();
    let new = again.nodes.iter().filter(|node| one.nodes.iter().all(|old| old.id != node.id));
    for node in new {
        assert!(node.id > oldest, "the id {} was used again", node.id);
    }
    project.disco(&["scale", "nodes=0"]).expect(2);
    project.disco(&["scale", "cows=3"]).expect(6);
}

fn a_learner_gets_the_vote_of_a_voter_that_died(project: &Project, four: &Status) {
    let learner = four.nodes.iter().find(|node| node.role == "learner").expect("four have a learner").clone();
    let learners_keys = project.machine(learner.instance.as_deref()).data().join("identity/intermediate.key");
    wait_for(SOON, "the learner without the signing key", || {
        if learners_keys.exists() { Err("it still holds it") } else { Ok(()) }
    });
    let victim = four.nodes.iter().find(|node| node.role == "voter").unwrap().clone();
    project.kill(project.machine(victim.instance.as_deref()).pid);
    let after = project.wait_for_status(LONG, "the learner's promotion", |now| {
        now.nodes.iter().any(|node| node.id == learner.id && node.role != "learner") && now.voters() == 3
    });
    // The node has no vote, or is removed.
    let dead = after.nodes.iter().find(|node| node.id == victim.id);
    assert!(dead.is_none_or(|dead| dead.role == "learner"), "{after:#?}");
    wait_for(
        SOON,
        "the new voter's signing key",
        || if learners_keys.exists() { Ok(()) } else { Err("it is not there") },
    );
    project.disco(&["bootstrap", "-y"]).ok();
}

#[test]
fn a_removal_that_would_lose_the_quorum_is_refused_and_nodes_can_be_removed_one_by_one() {
    let project = Project::new("remove");
    let three = project.bootstrap();
    project.disco(&["node", "rm", "99", "-y"]).expect(6);

    let (dead, living) = (three.others()[0].clone(), three.others()[1].clone());
    project.kill(project.machine(dead.instance.as_deref()).pid);
    // At once: no node has missed the dead one yet, but it does not count as a living voter.
    project.disco(&["node", "rm", &living.name, "-y"]).expect(5).says(&["quorum"]);

    let status = project.wait_for_status(SOON, "the dead node alone not healthy", |now| {
        let is_known = |node: &NodeStatus| node.healthy && node.pid != 0;
        now.nodes.len() == 3 && now.nodes.iter().all(|node| is_known(node) == (node.id != dead.id))
    });
    let alive = status.nodes.iter().find(|node| node.healthy && node.role == "voter").unwrap().clone();
    // Two of three live: without one of them, one of two would be left.
    project.disco(&["node", "rm", &alive.id.to_string(), "-y"]).expect(5).says(&["quorum"]);
    let same = project.wait_for_status(SOON, "the same process of the living node", |now| {
        now.nodes.iter().any(|node| node.id == alive.id && node.pid == alive.pid)
    });
    assert_eq!(same.nodes.len(), 3, "{same:#?}");

    // The dead node can be removed, and the cluster replaces it only on request.
    project.disco(&["node", "rm", &dead.name, "--force", "-y"]).ok();
    let two = project.wait_for_status(LONG, "two nodes", |now| now.nodes.len() == 2 && now.healthy);
    assert!(two.nodes.iter().all(|node| node.id != dead.id), "{two:#?}");
    no_machine_is_left_over(&project, &two);

    // The leader too, which hands over first.
    project.disco(&["scale", "nodes=3"]).ok();
    let whole = project.wait_until_healthy(LONG, 3);
    let leader = whole.leading().clone();
    project.disco(&["node", "rm", &leader.name, "-y"]).ok();
    let left = project.wait_for_status(LONG, "two others", |now| now.nodes.len() == 2 && now.healthy);
    // Exactly that node: a third machine would exist by now if the cluster had removed another one as well.
    let ids = |nodes: Vec<&NodeStatus>| nodes.into_iter().map(|node| node.id).collect::<BTreeSet<u64>>();
    let (others, left_ids) = (ids(whole.others()), ids(left.nodes.iter().collect()));
    assert_eq!(left_ids, others, "{left:#?}");
    no_machine_is_left_over(&project, &left);
}

#[test]
fn scaling_down_removes_a_node_that_has_just_died() {
    let project = Project::new("fewer");
    let three = project.bootstrap();
    // The oldest node, which would stay if all were alive.
    let dead = three.others()[0].clone();
    project.kill(project.machine(dead.instance.as_deref()).pid);
    project.disco(&["scale", "nodes=2", "-y"]).ok();
    let two = project.wait_for_status(LONG, "two healthy nodes", |now| now.nodes.len() == 2 && now.healthy);
    assert!(two.nodes.iter().all(|node| node.id != dead.id), "{two:#?}");
    no_machine_is_left_over(&project, &two);
}

/// A `client.js` without questions, so that any question is Disco's own.
fn silent_script(name: &str, nodes: u32) -> String {
    let script = client_script(name, nodes);
    let (before, rest) = script.split_once("  if (!(await ask(").expect("the script asks");
    let (_, after) = rest.split_once("  }\n").expect("the question ends");
    format!("{before}{after}")
}

fn deletes(project: &Project) -> usize {
    let plan = project.disco(&["plan", "-o", "json"]).ok().json();
    let changes = plan["changes"].as_array().expect("a plan has changes");
    changes.iter().filter(|change| change["action"] == "delete").count()
}

#[test]
fn bootstrap_only_adds_nodes_and_asks_before_it_applies_a_smaller_number() {
    let project = Project::new("again");
    project.write("client.js", &silent_script("again", 1));
    project.bootstrap();
    // A larger number in the script of a healthy cluster is applied.
    project.write("client.js", &silent_script("again", 3));
    let planned = project.disco(&["plan"]).ok();
    assert!(planned.stdout.contains("2 to create"), "{planned}");
    project.disco(&["bootstrap"]).ok();
    project.wait_until_healthy(LONG, 3);
    let again = project.disco(&["bootstrap"]).ok();
    assert!(again.stdout.contains("is ready"), "{again}");

    project.disco(&["scale", "nodes=4"]).ok();
    let four = project.wait_until_healthy(LONG, 4);
    assert_eq!(deletes(&project), 0);
    let victim = four.others()[0].clone();
    project.kill(project.machine(victim.instance.as_deref()).pid);
    project.wait_for_status(SOON, "the dead node not healthy", |now| !now.node(victim.id).healthy);
    let planned = project.disco(&["plan"]).ok();
    assert!(planned.stdout.contains("0 to delete") || !planned.stdout.contains("delete"), "{planned}");
    project.disco(&["bootstrap", "-y"]).ok();
    let repaired = project.wait_until_healthy(LONG, 4);
    let ids = |status: &Status| status.nodes.iter().map(|node| node.id).collect::<Vec<_>>();
    assert_eq!(ids(&repaired), ids(&four), "a healthy node was removed, or the dead one was replaced");

    // The same after all of them have rebooted.
    for machine in project.machines() {
        project.kill(machine.pid);
    }
    assert_eq!(deletes(&project), 0);
    project.disco(&["bootstrap", "-y"]).ok();
    let rebooted = project.wait_until_healthy(LONG, 4);
    assert_eq!(ids(&rebooted), ids(&four));

    // The number in the script is smaller now: it is planned, and applied after a yes.
    project.write("client.js", &silent_script("again", 2));
    assert_eq!(deletes(&project), 2);
    project.disco(&["bootstrap"]).expect(2).says(&["asks for 2 nodes now, and the cluster has 4", "again-"]);
    project.wait_for_same_processes(&rebooted);
    for machine in project.machines() {
        project.kill(machine.pid);
    }
    assert_eq!(deletes(&project), 2, "as far as it was seen last");
    project.disco(&["bootstrap", "-y"]).ok();
    assert_eq!(project.machines().len(), 2, "it is done when the command ends");
    project.wait_until_healthy(LONG, 2);
}

#[test]
fn scale_waits_for_a_machine_that_does_not_end_and_status_shows_it() {
    let project = Project::builder("ends").nodes(2).build();
    let two = project.bootstrap();
    let going = two.others()[0].clone();
    let machine = project.machine(going.instance.as_deref());
    // Ending a machine needs this lock.
    let held = std::fs::File::options().write(true).open(machine.folder.join("control")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    project.disco(&["scale", "nodes=1", "-y", "--timeout", "20s"]).expect(9).says(&["ending its machine"]);
    project.wait_for_status(SOON, "one node", |now| now.nodes.len() == 1);
    let shown = project.disco(&["status", "-o", "json"]).ok().json();
    assert_eq!(shown["ending"], serde_json::json!([going.name]), "{shown}");
    let expected = format!("the machine {} of `{}` is ending", machine.id, going.name);
    let table = project.disco(&["status"]).ok();
    assert!(table.stdout.contains("but a machine has not ended") && table.stdout.contains(&expected), "{table}");
    // Nothing else waits for it.
    project.put("meanwhile", "written");
    drop(held);
    let done = project.disco(&["scale", "nodes=1", "-y"]).ok();
    assert_eq!(project.machines().len(), 1, "{done}");
    let shown = project.disco(&["status"]).ok();
    assert!(!shown.stdout.contains("not ended") && !shown.stdout.contains("warning"), "{shown}");

    project.disco(&["scale", "nodes=2"]).ok();
    let two = project.wait_until_healthy(LONG, 2);
    let going = two.others()[0].name.clone();
    let done = project.disco(&["scale", "nodes=1", "-y"]).ok();
    assert_eq!(project.machines().len(), 1, "the command ended before the machine: {done}");
    assert!(done.stderr.lines().any(|line| line.contains(&going) && line.contains("removed")), "{done}");
}
