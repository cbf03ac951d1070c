//! Nodes that are drained, lost, and that return.

use disco_store::typed::UpdateSpec;

use super::harness::{Cluster, EVERY_NODE, Fault, depending, good, large, spec};
use crate::cluster::workloads::requests;
use crate::records::{DependencySpec, DeploymentState, Goal, ServiceSpec, TaskState, keys};

fn settled(nodes: u64, spec: ServiceSpec, copies: u32) -> Cluster {
    let mut cluster = Cluster::new(nodes);
    let first = cluster.deploy("shop", &[("web", spec, copies)]);
    assert_eq!(cluster.end_of(first).state, DeploymentState::Succeeded);
    cluster
}

fn singleton(version: &str) -> ServiceSpec {
    ServiceSpec { singleton: true, ..good(version) }
}

#[test]
fn a_drained_nodes_tasks_move_without_a_gap_and_come_back_only_for_new_ones() {
    let mut cluster = settled(3, good("1"), 3);
    cluster.request(|draft| requests::drain(draft, 2, true)).unwrap();
    for _ in 0..30 {
        cluster.tick();
        assert!(cluster.endpoints("web").len() >= 3, "{}", cluster.describe());
    }
    assert!(!cluster.nodes_of("web").contains(&2) && cluster.tasks().len() == 3, "{}", cluster.describe());
    assert!(cluster.events().contains(&"node.drained".to_owned()));
    cluster.request(|draft| requests::drain(draft, 2, false)).unwrap();
    assert!(!cluster.pass(), "nothing moves only because a node may have tasks again");
    let up = cluster.request(|draft| requests::scale(draft, "shop", "web", 4)).unwrap().0;
    cluster.end_of(up);
    assert!(cluster.nodes_of("web").contains(&2));
    assert!(cluster.request(|draft| requests::drain(draft, 9, true)).is_err());
}

#[test]
fn a_node_is_drained_in_the_middle_of_a_rollout() {
    let mut cluster = settled(3, good("1"), 3);
    let second = cluster.deploy("shop", &[("web", good("2"), 3)]);
    cluster.ticks(5);
    cluster.request(|draft| requests::drain(draft, 1, true)).unwrap();
    while cluster.runs(second) {
        cluster.tick();
        assert!(cluster.endpoints("web").len() >= 3, "{}", cluster.describe());
    }
    cluster.ticks(30);
    assert_eq!(cluster.versions("web"), [second; 3]);
    assert!(!cluster.nodes_of("web").contains(&1));
}

/// An operator is away, or a dependency is late: what fails of the version before is replaced all the same.
#[test]
fn a_rollout_that_waits_leaves_no_gap_when_nodes_are_lost_or_drained() {
    let keeps = |version: &str, behaviour: &str| {
        let spec = spec(version, behaviour);
        ServiceSpec { update: UpdateSpec { keep_failed: true, ..spec.update }, ..spec }
    };
    let waiting = depending("2", "db", DependencySpec::Completed);
    for (second, limit) in [(keeps("2", "sick"), 60_000), (waiting, 10_000_000)] {
        let second = ServiceSpec { update: UpdateSpec { limit_ms: limit, ..second.update }, ..second };
        let mut cluster = Cluster::new(5);
        let first = cluster.deploy("shop", &[("web", keeps("1", "good"), 3), ("db", good("1"), 1)]);
        cluster.end_of(first);
        cluster.deploy("shop", &[("web", second, 3), ("db", good("1"), 1)]);
        cluster.ticks(200);
        let nodes = cluster.nodes_of("web");
        cluster.cut(nodes[0], Fault::Dead);
        cluster.ticks(30);
        cluster.request(|draft| requests::drain(draft, nodes[1], true)).unwrap();
        for _ in 0..60 {
            cluster.tick();
            assert!(cluster.endpoints("web").len() >= 3, "{}", cluster.describe());
        }
        let now = cluster.nodes_of("web");
        assert!(now.len() == 3 && !now.contains(&nodes[0]) && !now.contains(&nodes[1]), "{}", cluster.describe());
        assert_eq!(cluster.versions("web"), [first; 3]);
        let third = cluster.deploy("shop", &[("web", good("3"), 3), ("db", good("1"), 1)]);
        assert_eq!(cluster.end_of(third).state, DeploymentState::Succeeded);
        assert_eq!(cluster.versions("web"), [third; 3]);
    }
}

/// The rollout and the scheduler both find one that can be missed.
#[test]
fn old_tasks_that_drain_and_those_of_a_drained_node_do_not_end_at_once_together() {
    let slow = |version: &str| ServiceSpec {
        update: UpdateSpec { batch: 2, limit_ms: 10_000_000, ..good(version).update },
        ..good(version)
    };
    for wait in 0..40 {
        let mut cluster = settled(4, slow("1"), 3);
        let old = cluster.tasks();
        let second = cluster.deploy("shop", &[("web", slow("2"), 3)]);
        // The new ones become healthy only after long.
        for _ in 0..24 + wait % 3 {
            while cluster.pass() {}
            cluster.act(|_, task| old.contains(task));
            cluster.ms += 500;
        }
        cluster.request(|draft| requests::drain(draft, old[usize::try_from(wait).unwrap() % 3].node, true)).unwrap();
        for round in 0..60 {
            while cluster.pass() {}
            cluster.act(|_, task| round % (1 + wait / 8) == 0 || task.id % 2 == 0);
            cluster.ms += 500;
            assert!(cluster.endpoints("web").len() >= 3, "{wait}: {}", cluster.describe());
        }
        cluster.end_of(second);
    }
}

#[test]
fn a_lost_nodes_tasks_run_elsewhere_within_ten_seconds() {
    let mut cluster = settled(3, good("1"), 3);
    cluster.cut(2, Fault::Dead);
    let begun = cluster.ms;
    while cluster.endpoints("web").iter().filter(|task| task.node != 2).count() < 3 {
        cluster.tick();
        assert!(cluster.ms - begun < 10_000, "{}", cluster.describe());
    }
    cluster.mend(2);
    cluster.ticks(20);
    assert_eq!((cluster.endpoints("web").len(), cluster.tasks().len(), cluster.processes.len()), (3, 3, 3));
}

#[test]
fn an_unreadable_record_leaves_what_belongs_to_it() {
    let all = |cluster: &Cluster| {
        let records = cluster.records();
        let groups: Vec<u64> = records.groups.values().map(|group| group.id).collect();
        (cluster.tasks(), records.states.values().cloned().collect::<Vec<_>>(), groups, cluster.processes.clone())
    };
    for key in [keys::service("shop", "web"), keys::stack("shop"), keys::node(1), keys::deployment(1)] {
        let mut cluster = settled(3, singleton("1"), 1);
        let before = all(&cluster);
        cluster.store.put(&key, &"unreadable");
        cluster.ticks(30);
        assert_eq!(all(&cluster), before, "{key}: {}", cluster.describe());
    }
    let mut cluster = settled(3, good("1"), 3);
    let lost = cluster.tasks()[0].id;
    let group = cluster.records().groups.values().next().unwrap().id;
    cluster.store.put(&keys::task(lost), &"unreadable");
    cluster.ticks(10);
    assert!(cluster.state(lost).is_some() && cluster.records().groups.get(&group).is_some());
}

#[test]
fn a_new_leader_that_has_heard_no_node_drains_endpoints_before_they_stop() {
    let mut cluster = settled(3, good("1"), 3);
    cluster.request(|draft| requests::scale(draft, "shop", "web", 1)).unwrap();
    cluster.is_new = true;
    while cluster.pass() {}
    let goals: Vec<Goal> = cluster.tasks().iter().map(|task| task.goal).collect();
    assert!(!goals.contains(&Goal::Stop) && goals.contains(&Goal::Drain), "{}", cluster.describe());
}

#[test]
fn a_node_that_returns_in_time_keeps_its_tasks() {
    let mut cluster = settled(3, good("1"), 3);
    let before = cluster.tasks();
    cluster.cut(2, Fault::CutOff);
    cluster.ticks(8);
    cluster.mend(2);
    cluster.ticks(20);
    assert_eq!(cluster.tasks(), before);
}

/// The node's tasks come back with it, as long as nothing has taken their place.
#[test]
fn a_lost_nodes_tasks_go_only_with_their_replacement() {
    let mut cluster = settled(2, large("1", 600), 2);
    let before = cluster.tasks();
    cluster.cut(2, Fault::CutOff);
    cluster.ticks(60);
    assert_eq!(cluster.tasks(), before, "there is no other node for it");
    assert!(cluster.service("shop", "web").unwrap().unplaced.contains("n2: the node does not report"));
    cluster.mend(2);
    cluster.ticks(10);
    assert_eq!((cluster.tasks(), cluster.endpoints("web").len()), (before, 2));
    assert_eq!(cluster.service("shop", "web").unwrap().unplaced, "");
}

#[test]
fn a_removed_nodes_tasks_are_forgotten() {
    let mut cluster = settled(3, good("1"), 3);
    cluster.cut(2, Fault::Dead);
    cluster.ticks(4);
    cluster.remove_node(2);
    cluster.ticks(10);
    assert!(cluster.tasks().iter().all(|task| task.node != 2));
    assert_eq!((cluster.endpoints("web").len(), cluster.tasks().len()), (3, 3));
}

#[test]
fn a_rollout_ends_although_a_node_with_old_tasks_is_lost() {
    let mut cluster = settled(3, good("1"), 3);
    cluster.cut(3, Fault::CutOff);
    let second = cluster.deploy("shop", &[("web", good("2"), 3)]);
    assert_eq!(cluster.end_of(second).state, DeploymentState::Succeeded);
    cluster.mend(3);
    cluster.ticks(20);
    assert_eq!((cluster.versions("web"), cluster.processes.len()), (vec![second; 3], 3));
}

#[test]
fn a_singleton_of_a_lost_node_starts_elsewhere_once_its_lease_is_over() {
    for fault in [Fault::Dead, Fault::CutOff] {
        let mut cluster = settled(3, singleton("1"), 1);
        let home = cluster.nodes_of("web")[0];
        cluster.cut(home, fault);
        let begun = cluster.ms;
        while cluster.endpoints("web").iter().all(|task| task.node == home) {
            cluster.tick();
            assert!(cluster.processes.len() <= 1, "{}", cluster.describe());
            assert!(cluster.ms - begun < 10_000, "{}", cluster.describe());
        }
        cluster.mend(home);
        for _ in 0..20 {
            cluster.tick();
            assert!(cluster.processes.len() <= 1, "{}", cluster.describe());
        }
        assert_eq!((cluster.endpoints("web").len(), cluster.tasks().len()), (1, 1));
    }
}

#[test]
fn a_singleton_of_a_removed_node_waits_for_the_end_of_its_lease_as_well() {
    let mut cluster = settled(2, singleton("1"), 1);
    let home = cluster.nodes_of("web")[0];
    cluster.remove_node(home);
    let begun = cluster.ms;
    while cluster.endpoints("web").iter().all(|task| task.node == home) {
        cluster.tick();
    }
    assert!(cluster.ms - begun > 6_000, "after {} ms", cluster.ms - begun);
    cluster.ticks(5);
    assert_eq!(cluster.tasks().len(), 1);
}

#[test]
fn a_singleton_on_a_drained_node_stays_until_another_node_can_take_it() {
    let one = ServiceSpec { singleton: true, ..large("1", 600) };
    let mut cluster = settled(1, one, 1);
    cluster.request(|draft| requests::drain(draft, 1, true)).unwrap();
    cluster.ticks(30);
    assert_eq!(cluster.nodes_of("web"), [1], "{}", cluster.describe());
    assert!(cluster.service("shop", "web").unwrap().unplaced.contains("n1: "), "{}", cluster.describe());
    cluster.add_node(2);
    cluster.ticks(30);
    assert_eq!((cluster.nodes_of("web"), cluster.tasks().len()), (vec![2], 1), "{}", cluster.describe());
}

/// A clock that is set, or another leader's, ends no lease and makes no version fail; and none holds back a drained task.
#[test]
fn times_of_other_clocks_alone_decide_nothing() {
    let seconds = std::time::Duration::from_secs;
    let mut cluster = settled(2, singleton("1"), 1);
    let (home, id) = (cluster.nodes_of("web")[0], cluster.tasks()[0].id);
    cluster.remove_node(home);
    cluster.pass();
    cluster.ms += 3_600_000;
    cluster.ages.goals.insert(id, seconds(1));
    cluster.ticks(3);
    assert_eq!(cluster.tasks().len(), 1, "{}", cluster.describe());
    cluster.ages.goals.insert(id, seconds(7));
    cluster.store.put("/disco/tasks_changed", &1_u64);
    cluster.ticks(20);
    assert_eq!((cluster.endpoints("web").len(), cluster.tasks().len()), (1, 1), "{}", cluster.describe());

    let mut cluster = settled(2, good("1"), 1);
    let second = cluster.deploy("shop", &[("web", spec("2", "sick"), 1)]);
    cluster.ticks(5);
    cluster.ages.rollouts.insert(("shop".to_owned(), "web".to_owned()), seconds(3));
    cluster.ms += 3_600_000;
    cluster.ticks(3);
    assert!(cluster.runs(second), "{}", cluster.describe());

    let mut cluster = settled(2, good("1"), 2);
    cluster.request(|draft| requests::scale(draft, "shop", "web", 1)).unwrap();
    cluster.pass();
    let draining = cluster.tasks().into_iter().find(|task| task.goal == Goal::Drain).unwrap().id;
    cluster.ms -= 3_600_000;
    cluster.ages.goals.insert(draining, seconds(4));
    cluster.pass();
    let task = cluster.tasks().into_iter().find(|task| task.id == draining).unwrap();
    assert_eq!(task.goal, Goal::Stop, "{}", cluster.describe());
}

#[test]
fn a_singleton_whose_node_returns_between_look_and_write_does_not_run_twice() {
    for second in ["1", "2"] {
        let mut cluster = settled(3, singleton("1"), 1);
        let home = cluster.nodes_of("web")[0];
        cluster.cut(home, Fault::CutOff);
        if second != "1" {
            cluster.deploy("shop", &[("web", singleton(second), 1)]);
        }
        let begun = cluster.ms;
        while cluster.ms - begun < 6_500 {
            cluster.tick();
        }
        cluster.returns = Some(home);
        for _ in 0..10 {
            while cluster.pass() {}
            // Its node reads later than others what it shall do.
            cluster.act(|_, task| task.node != home);
            cluster.ms += 500;
            assert!(cluster.processes.len() <= 1, "{}", cluster.describe());
        }
        assert_eq!(cluster.returns, None, "there was something to write");
        for _ in 0..30 {
            cluster.tick();
            assert!(cluster.processes.len() <= 1, "{}", cluster.describe());
        }
        assert_eq!((cluster.endpoints("web").len(), cluster.tasks().len()), (1, 1), "{}", cluster.describe());
    }
}

#[test]
fn a_singleton_is_updated_and_drained_without_ever_two() {
    let mut cluster = settled(3, singleton("1"), 1);
    let second = cluster.deploy("shop", &[("web", singleton("2"), 1)]);
    while cluster.runs(second) {
        cluster.tick();
        assert!(cluster.processes.len() <= 1);
    }
    let home = cluster.nodes_of("web")[0];
    cluster.request(|draft| requests::drain(draft, home, true)).unwrap();
    for _ in 0..30 {
        cluster.tick();
        assert!(cluster.processes.len() <= 1);
    }
    assert!(cluster.nodes_of("web") != [home] && cluster.endpoints("web").len() == 1);
    assert!(
        !cluster.events().contains(&"task.unplaced".to_owned()),
        "waiting for the previous one is no lack of nodes"
    );
}

#[test]
fn a_service_of_every_node_keeps_the_task_of_a_lost_node_for_its_return() {
    let mut cluster = settled(3, good("1"), EVERY_NODE);
    let before = cluster.tasks();
    cluster.cut(2, Fault::Dead);
    cluster.ticks(40);
    assert_eq!(cluster.tasks(), before);
    cluster.mend(2);
    cluster.ticks(6);
    assert_eq!((cluster.tasks(), cluster.endpoints("web").len()), (before, 3));
    cluster.cut(3, Fault::Dead);
    cluster.remove_node(3);
    cluster.ticks(6);
    assert_eq!(cluster.nodes_of("web"), [1, 2]);
    cluster.request(|draft| requests::drain(draft, 1, true)).unwrap();
    cluster.ticks(20);
    assert_eq!((cluster.nodes_of("web"), cluster.tasks().len()), (vec![2], 1));
}

#[test]
fn a_port_that_is_taken_on_the_node_is_not_tried_again_there() {
    let mut cluster = Cluster::new(1);
    cluster.deploy("shop", &[("web", good("1"), 1)]);
    cluster.pass();
    let first = cluster.tasks().remove(0);
    cluster.act(|_, _| true);
    let mut state = cluster.state(first.id).unwrap();
    (state.state, state.refused, state.gone) = (TaskState::Failed, true, true);
    cluster.store.put(&keys::task_state(first.id), &state);
    cluster.ticks(10);
    let second = cluster.endpoints("web").remove(0);
    assert_ne!(first.ports[0].number, second.ports[0].number);
    assert_eq!((second.goal, cluster.endpoints("web").len()), (Goal::Run, 1));
}
