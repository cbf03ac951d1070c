//! A node that reports itself as unhealthy is replaced, unless the script spares it.

use std::time::Duration;

use disco_tests::faults::Clock;
use disco_tests::{Permit, Project, RawCluster, SOON, cluster_script, skipped, wait_for};

/// How long a node may be unhealthy before it is lost.
const GRACE: Duration = Duration::from_secs(60);
/// Time for the grace period, the health hook's interval, and a replacement.
const LIMIT: Duration = Duration::from_secs(180);

const HEALTH: &str = r#"
export async function health(cluster, node) {
  return node.name === "unwell-2" ? { healthy: false, reason: "it has a cold" } : true;
}
"#;
const SPARED: &str = r#"
export async function node_lost(cluster, node) {
  console.log(`lost ${node}`);
  return node.name !== "unwell-2";
}
"#;

fn events(project: &Project) -> String {
    project.disco(&["events", "-n", "200"]).ok().stdout
}

#[test]
fn a_node_that_is_unhealthy_for_a_minute_is_replaced_unless_the_script_spares_it() {
    let _permit = Permit::first();
    let project = Project::new("unwell");
    project.bootstrap();
    project.write_hooks(&format!("{HEALTH}{SPARED}"));
    project.disco(&["script", "push"]).ok();
    // If it leads, it hands over.
    let before = project.wait_for_status(SOON, "three nodes, one of the followers not healthy", |now| {
        let unwell = now.nodes.iter().find(|node| node.name == "unwell-2");
        now.nodes.len() == 3
            && unwell.is_some_and(|node| {
                !node.healthy && node.role != "leader" && node.reason.as_deref() == Some("it has a cold")
            })
    });
    let unwell = before.nodes.iter().find(|node| node.name == "unwell-2").expect("it was just there").clone();

    let asked = std::time::Instant::now();
    wait_for(LIMIT, "the script's word", || {
        let recorded = events(&project);
        if recorded.contains("node.left_alone") { Ok(()) } else { Err(recorded) }
    });
    assert!(asked.elapsed() > GRACE / 2, "asked too early");
    let spared = project.status();
    assert_eq!(spared.pids().keys().collect::<Vec<_>>(), before.pids().keys().collect::<Vec<_>>());
    assert!(!events(&project).contains("node.replaced"));

    // Without the hook the cluster replaces it.
    project.write_hooks(HEALTH);
    project.disco(&["script", "push"]).ok();
    let after = project.wait_for_status(LIMIT, "its replacement", |now| {
        assert!(now.nodes.len() >= 3, "{now:#?}");
        now.healthy && now.nodes.len() == 3 && now.nodes.iter().all(|node| node.id != unwell.id)
    });
    assert!(after.nodes.iter().any(|node| node.name == "unwell-4"), "{after:#?}");
    wait_for(SOON, "the end of its machine", || {
        let ids: Vec<_> = project.machines().into_iter().map(|machine| machine.id).collect();
        if ids.len() == 3 && !ids.iter().any(|id| Some(id) == unwell.instance.as_ref()) {
            Ok(())
        } else {
            Err(format!("{ids:?}"))
        }
    });
}

/// Half of a `cluster.js`: the first leader, whose name replaces `LEADER`, is unhealthy, with a short grace period.
const LEADER_IS_UNWELL: &str = r#"
export async function health(cluster, node) {
  return node.name === "LEADER" ? { healthy: false, reason: "it has a cold" } : true;
}
"#;

#[test]
fn an_unhealthy_leader_hands_over_and_is_replaced() {
    let _permit = Permit::first();
    let project = Project::new("heading");
    let before = project.bootstrap();
    let unwell = before.leading().clone();
    project.put("color", "blue");
    let script = cluster_script("heading", &LEADER_IS_UNWELL.replace("LEADER", &unwell.name));
    let grace = script.replace("provider });", "provider, repair: { grace: 6_000 } });");
    assert_ne!(script, grace, "`init` makes a cluster");
    project.write("cluster.js", &grace);
    project.disco(&["script", "push"]).ok();

    project.wait_for_status(LIMIT, "another leader, which is healthy and has heard of the unhealthy node", |now| {
        let still = now.nodes.iter().find(|node| node.id == unwell.id);
        // By itself, while it runs: its daemon is the same. A leader that was just elected shows the process id 0.
        assert!(still.is_none_or(|still| [0, unwell.pid].contains(&still.pid)), "it was restarted: {now:#?}");
        now.leader.is_some_and(|leader| leader != unwell.id)
            && now.nodes.iter().any(|node| node.role == "leader" && node.healthy)
            && still.is_none_or(|still| still.pid == unwell.pid && !still.healthy)
    });
    let after = project.wait_for_status(LIMIT, "its replacement", |now| {
        assert!(now.nodes.len() >= 3, "{now:#?}");
        now.healthy && now.nodes.len() == 3 && now.nodes.iter().all(|node| node.id != unwell.id)
    });
    assert!(after.nodes.iter().any(|node| node.name == "heading-4"), "{after:#?}");
    assert!(events(&project).contains("node.replaced"));
    assert_eq!(project.get("color").as_deref(), Some("blue"));
}

#[test]
fn a_node_with_a_wrong_clock_is_unhealthy_until_the_clock_is_right() {
    if !Clock::is_possible() {
        return skipped("wrong clock: `libfaketime` is not installed (Debian: faketime)");
    }
    let mut cluster = RawCluster::empty();
    let mut clocks = Vec::new();
    for index in 0..3 {
        let mut node = cluster.node();
        let (clock, environment) = Clock::new(cluster.folder().join(format!("clock-{index}")));
        node.env = environment;
        clocks.push(clock);
        if index == 0 { cluster.begin(node) } else { cluster.join_as(node) }
    }
    let whole = cluster.wait_for_members(3);
    let project = cluster.project();
    // Half a minute more, as the difference is rounded down. A follower's clock, and then the leader's, which must not
    // consider all others wrong.
    let leader = whole.leader;
    let follower = whole.nodes.iter().find(|node| node.id != leader).expect("there are three").id;
    for (id, seconds, reason) in [
        (follower, 3630, "its clock is 60 minutes ahead of"),
        (leader, -400 * 86_400 - 60, "its clock is 400 days behind"),
    ] {
        let clock = &clocks[usize::try_from(id - 1).expect("ids are small")];
        clock.set(seconds);
        project.wait_for_status(SOON, "the node with the wrong clock", |now| {
            let wrong: Vec<_> = now.nodes.iter().filter(|node| !node.healthy).collect();
            wrong.len() == 1 && wrong[0].id == id && wrong[0].reason.as_deref().unwrap_or_default().contains(reason)
        });
        wait_for(SOON, "the event", || {
            let events = events(&project);
            if events.contains("node.unhealthy") && events.contains(reason) { Ok(()) } else { Err(events) }
        });
        clock.set(0);
        project.wait_for_status(SOON, "all clocks right", |now| now.healthy && now.nodes.len() == 3);
    }
}
