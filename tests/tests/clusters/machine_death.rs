//! A machine dies with all its processes, the cluster reports it, and bootstrap restores it.

use std::time::{Duration, Instant};

use disco_tests::{Api, Binaries, NodeStatus, Permit, Project, SOON, Status, wait_for};

#[test]
fn a_dead_machine_is_reported_soon_with_its_age_and_repaired_by_bootstrap() {
    let _permit = Permit::alone();
    let project = Project::new("machine-death");
    let before = project.bootstrap();
    let victim = before.others()[0].clone();
    let machine = project.machine(victim.instance.as_deref());
    let on_it = |project: &Project| {
        let found =
            project.processes().into_iter().filter(|process| process.machine.as_deref() == Some(machine.id.as_str()));
        found.collect::<Vec<_>>()
    };
    assert!(on_it(&project).iter().any(|process| process.pid == victim.pid), "{:?}", on_it(&project));

    let earlier = changes(&project, &victim.name);
    project.kill(machine.pid);
    let killed = Instant::now();
    wait_for(SOON, "the end of all that ran on the machine", || {
        let left = on_it(&project);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    let ended = killed.elapsed();
    let limit = Duration::from_secs(if Binaries::optimised() { 2 } else { 10 });
    assert!(ended < limit, "what ran on the machine outlived it by {ended:?}");

    let seen = project.wait_for_status(SOON, "the dead node not healthy, as it is silent", |now| {
        let dead = now.node(victim.id);
        let is_silent = dead.reason.as_deref().is_some_and(|reason| reason.contains("sign of life"));
        !dead.healthy && is_silent && dead.last_seen_ms.is_some()
    });
    let took = killed.elapsed();
    let limit = Duration::from_secs(if Binaries::optimised() { 3 } else { 10 });
    assert!(took < limit, "shown as not healthy only after {took:?}");
    println!("shown as not healthy {} ms after the machine was killed", took.as_millis());
    assert!(!seen.healthy, "{seen:#?}");
    let dead = seen.node(victim.id);
    let age = dead.last_seen_ms.expect("it was alive");
    assert!(age >= 1000 && age <= u64::try_from(killed.elapsed().as_millis()).unwrap() + 1000, "{dead:#?}");
    let older =
        project.wait_for_status(SOON, "a greater age", |now| now.node(victim.id).last_seen_ms > Some(age + 500));
    assert_eq!(older.leader, before.leader);
    let table = project.disco(&["status"]).ok().stdout;
    assert!(table.contains("not healthy"), "{table}");
    project.put("meanwhile", "written");
    it_is_recorded_once(&project, &victim, &before.leading().name);

    project.disco(&["bootstrap", "-y"]).ok();
    let after = project.wait_until_healthy(SOON, 3);
    // One event for each change; slowness of the previous bootstrap does not count.
    wait_for(SOON, "the event of its return", || {
        let now = changes(&project, &victim.name);
        let has_both = now.len() == earlier.len() + 2 && now.last() == Some(&"node.healthy");
        if has_both { Ok(()) } else { Err(format!("{now:?}, before {earlier:?}")) }
    });
    // The same node on the same machine: its disk exists, so nothing new is made.
    assert_eq!(
        after.nodes.iter().map(|node| node.id).collect::<Vec<_>>(),
        before.nodes.iter().map(|node| node.id).collect::<Vec<_>>()
    );
    assert_eq!(project.machines().len(), 3);
    assert_eq!(project.get("meanwhile").as_deref(), Some("written"));
    // The others are unchanged.
    for node in before.nodes.iter().filter(|node| node.id != victim.id) {
        assert_eq!(after.node(node.id).pid, node.pid, "node {} was restarted for nothing", node.id);
    }
    the_leaders_machine_dies(&project, &after);
}

/// The events about a node's health, which alternate: each change is recorded once.
fn changes(project: &Project, node: &str) -> Vec<&'static str> {
    let events = project.disco(&["events", "-n", "200"]).ok().stdout;
    let of_health = events.lines().filter(|line| line.contains(&format!(" {node} is ")));
    let kinds: Vec<_> = of_health
        .filter_map(|line| ["node.unhealthy", "node.healthy"].into_iter().find(|kind| line.contains(kind)))
        .collect();
    assert!(kinds.windows(2).all(|pair| pair[0] != pair[1]), "the same twice in a row:\n{events}");
    kinds
}

/// Waits until an event about the node contains the text.
fn wait_for_event(project: &Project, kind: &str, node: &str, text: &str) {
    wait_for(SOON, "the event", || {
        let events = project.disco(&["events", "-n", "200"]).ok().stdout;
        let found = events.lines().any(|line| line.contains(kind) && line.contains(&format!(" {node} {text}")));
        if found { Ok(()) } else { Err(events) }
    });
}

/// As an event, and in the leader's log, whose lines are not displaced by those of attempts to reach the node.
fn it_is_recorded_once(project: &Project, victim: &NodeStatus, leader: &str) {
    wait_for_event(project, "node.unhealthy", &victim.name, "is not healthy: no sign of life for");
    let log = wait_for(SOON, "the same in the leader's log", || {
        let log = project.disco(&["logs", "-n", "500", leader]).ok().stdout;
        if log.contains(&format!("{} is not healthy", victim.name)) { Ok(log) } else { Err(log) }
    });
    let about = |line: &&str| line.contains(&victim.name) || line.contains(&victim.address);
    let since = log.lines().skip_while(|line| !line.contains("cannot reach peer")).filter(about).count();
    assert!((1..=10).contains(&since), "{since} lines since it was not reached:\n{log}");
}

/// Its supervisor dies too: nothing restarts that leader.
fn the_leaders_machine_dies(project: &Project, before: &Status) {
    let limit = Duration::from_secs(if Binaries::optimised() { 1 } else { 10 });
    let (api, old) = (Api::operator(project), before.leading().clone());
    let others: Vec<_> = before.others().iter().map(|node| node.address.clone()).collect();
    api.put(&others, "warm", "connections", SOON).unwrap();
    project.kill(project.machine(old.instance.as_deref()).pid);
    let killed = Instant::now();
    api.put(&others, "after", "the leader", limit).unwrap_or_else(|error| panic!("{error}"));
    let took = killed.elapsed();
    assert!(took < limit, "the first write after the death of the leader's machine took {took:?}");
    println!("first write {} ms after the leader's machine was killed", took.as_millis());
    let now = project.wait_for_status(SOON, "another leader", |now| now.leader.is_some_and(|id| id != old.id));
    assert!(now.term > before.term, "{now:#?}");
    project.disco(&["bootstrap", "-y"]).ok();
    project.wait_until_healthy(SOON, 3);
    assert_eq!(project.get("after").as_deref(), Some("the leader"));
}

#[test]
fn with_all_machines_dead_commands_exit_with_4_and_bootstrap_restores_everything() {
    let project = Project::new("all-dead");
    let before = project.bootstrap();
    project.put("kept", "yes");
    for machine in project.machines() {
        project.kill(machine.pid);
    }
    wait_for(SOON, "the end of all", || {
        let left = project.processes();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    let output = project.disco(&["status", "--timeout", "20s"]).expect(4).says(&["hint:"]);
    assert!(!output.stderr.contains("panicked"), "{output}");
    project.disco(&["bootstrap", "-y"]).ok();
    let after = project.wait_until_healthy(SOON, 3);
    assert_eq!(after.nodes.len(), before.nodes.len());
    assert_eq!(project.machines().len(), 3);
    assert_eq!(project.get("kept").as_deref(), Some("yes"));
}
