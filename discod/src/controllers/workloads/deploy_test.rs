//! Deploys, and changes in the middle of them, on nodes without faults.

use disco_store::typed::UpdateSpec;

use super::harness::{Cluster, EVERY_NODE, depending, good, spec};
use crate::cluster::workloads::requests;
use crate::records::{Copies, DependencySpec, DeploymentState, Goal, ServiceSpec, StackRecord, TaskRecord, keys};

#[test]
fn a_first_deploy_starts_all_copies_on_different_nodes() {
    let mut cluster = Cluster::new(3);
    let deployment = cluster.deploy("shop", &[("web", good("1"), 3)]);
    assert!(cluster.pass());
    let tasks = cluster.tasks();
    assert_eq!(tasks.iter().map(|task| (task.id, task.index)).collect::<Vec<_>>(), [(1001, 1), (1002, 2), (1003, 3)]);
    assert!(
        tasks.iter().all(|task| task.ports.len() == 1 && task.ports[0].target == 80 && task.ports[0].number >= 20_000)
    );
    let end = cluster.end_of(deployment);
    assert_eq!((end.state, end.error), (DeploymentState::Succeeded, None));
    assert_eq!(cluster.nodes_of("web"), [1, 2, 3]);
    let stack: StackRecord = cluster.store.get(&keys::stack("shop")).unwrap();
    assert_eq!((stack.coming, stack.releases.len(), stack.releases[0].deployment), (None, 1, deployment));
    assert_eq!(cluster.events(), ["deployment.started", "deployment.succeeded"]);
    assert!(!cluster.pass(), "a settled cluster changes nothing");
}

#[test]
fn the_same_deploy_changes_nothing_and_one_under_way_is_joined() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 3)]);
    cluster.tick();
    assert_eq!(cluster.deploy("shop", &[("web", good("1"), 3)]), first, "it is under way");
    cluster.end_of(first);
    assert_eq!(cluster.deploy("shop", &[("web", good("1"), 3)]), 0);
    assert!(!cluster.pass());
}

#[test]
fn a_new_version_replaces_the_old_one_without_a_gap() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 3)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", good("2"), 3)]);
    let (mut least, mut most) = (usize::MAX, 0);
    while cluster.runs(second) {
        cluster.tick();
        least = least.min(cluster.endpoints("web").len());
        most = most.max(cluster.processes.len());
    }
    assert_eq!((least, most), (3, 4));
    assert_eq!(cluster.versions("web"), [second; 3]);
    assert_eq!(cluster.tasks().len(), 3, "nothing is left of the old ones");
    assert_eq!(cluster.records().states.values().count(), 3);
    assert_eq!(cluster.records().groups.values().count(), 2, "the release before keeps its version");
}

#[test]
fn an_old_task_is_no_endpoint_for_the_drain_time_before_it_stops() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", good("1"), 1)]);
    cluster.end_of(first);
    cluster.deploy("shop", &[("web", good("2"), 1)]);
    let old = cluster.tasks()[0].id;
    let mut goals = Vec::new();
    for _ in 0..40 {
        cluster.tick();
        let goal = cluster.store.get::<TaskRecord>(&keys::task(old)).map(|task| (task.goal, cluster.ms));
        goals.extend(goal);
    }
    let first_of = |goal: Goal| goals.iter().find(|(now, _)| *now == goal).unwrap().1;
    assert!(first_of(Goal::Stop) - first_of(Goal::Drain) >= 3_000);
    assert!(goals.len() < 40, "its record is deleted");
}

#[test]
fn a_service_whose_removal_is_under_way_does_not_start_again() {
    for second in ["good", "crash"] {
        let mut cluster = Cluster::new(3);
        let first = cluster.deploy("shop", &[("web", good("1"), 2), ("old", good("1"), 2)]);
        cluster.end_of(first);
        let fewer = cluster.deploy("shop", &[("web", good("1"), 2)]);
        while cluster.tasks().iter().any(|task| task.service == "old" && task.goal == Goal::Run) {
            cluster.pass();
        }
        let newest = cluster.tasks().last().unwrap().id;
        let next = cluster.deploy("shop", &[("web", spec("2", second), 2)]);
        while cluster.runs(next) {
            cluster.tick();
            let mut tasks = cluster.tasks();
            tasks.retain(|task| task.service == "old" && task.id > newest);
            assert_eq!(tasks, [], "{fewer}: {}", cluster.describe());
        }
        cluster.ticks(10);
        assert_eq!(cluster.service("shop", "old"), None, "{}", cluster.describe());
    }
}

#[test]
fn a_service_of_every_node_is_not_complete_before_its_nodes_report() {
    let mut cluster = Cluster::new(3);
    cluster.is_new = true;
    let first = cluster.deploy("shop", &[("log", good("1"), EVERY_NODE)]);
    (0..5).for_each(|_| cluster.tick());
    assert!(cluster.runs(first) && cluster.tasks().is_empty(), "{}", cluster.describe());
    cluster.is_new = false;
    assert_eq!((cluster.end_of(first).state, cluster.nodes_of("log")), (DeploymentState::Succeeded, vec![1, 2, 3]));
}

#[test]
fn a_service_of_every_node_fails_if_no_node_is_meant() {
    let mut cluster = Cluster::new(2);
    let nowhere = ServiceSpec { constraints: vec!["node.labels.disk == ssd".to_owned()], ..good("1") };
    let first = cluster.deploy("shop", &[("log", nowhere, EVERY_NODE)]);
    let end = cluster.end_of(first);
    assert_eq!(end.state, DeploymentState::Failed);
    let reason = "log 1: n1: label `disk` is not `ssd`; log 2: n2: label `disk` is not `ssd`";
    assert_eq!(end.unplaced.as_deref(), Some(reason));
}

#[test]
fn a_second_deploy_supersedes_the_first() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 3)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", good("2"), 3)]);
    cluster.ticks(10);
    let third = cluster.deploy("shop", &[("web", good("3"), 3)]);
    let end = cluster.end_of(second);
    assert_eq!((end.state, end.error.unwrap()), (DeploymentState::Failed, format!("superseded by deployment {third}")));
    assert_eq!(cluster.end_of(third).state, DeploymentState::Succeeded);
    assert_eq!(cluster.versions("web"), [third; 3]);
}

#[test]
fn copies_change_during_a_rollout_which_goes_on() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 4)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", good("2"), 4)]);
    cluster.ticks(8);
    let joined = cluster.request(|draft| requests::scale(draft, "shop", "web", 2)).unwrap().0;
    assert_eq!(joined, second);
    cluster.ticks(6);
    cluster.request(|draft| requests::scale(draft, "shop", "web", 6)).unwrap();
    assert_eq!(cluster.end_of(second).state, DeploymentState::Succeeded);
    assert_eq!(cluster.versions("web"), [second; 6]);
    let stack: StackRecord = cluster.store.get(&keys::stack("shop")).unwrap();
    assert_eq!(stack.releases[1].services["web"].copies, Copies::Number(6));
}

#[test]
fn scale_is_a_deployment_of_its_own_and_no_release() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 2)]);
    cluster.end_of(first);
    let up = cluster.request(|draft| requests::scale(draft, "shop", "web", 5)).unwrap().0;
    assert!(cluster.pass());
    assert_eq!(cluster.tasks().len(), 5, "further copies start all at once");
    assert_eq!(cluster.end_of(up).state, DeploymentState::Succeeded);
    let down = cluster.request(|draft| requests::scale(draft, "shop", "web", 1)).unwrap().0;
    assert_eq!(cluster.end_of(down).state, DeploymentState::Succeeded);
    assert_eq!((cluster.endpoints("web").len(), cluster.tasks().len()), (1, 1));
    let stack: StackRecord = cluster.store.get(&keys::stack("shop")).unwrap();
    assert_eq!((stack.releases.len(), stack.releases[0].services["web"].copies), (1, Copies::Number(1)));
    assert_eq!(cluster.request(|draft| requests::scale(draft, "shop", "web", 1)).unwrap().0, 0);
    assert!(cluster.request(|draft| requests::scale(draft, "shop", "wob", 1)).is_err());
    let events = cluster.events();
    assert_eq!(events.iter().filter(|kind| *kind == "service.scaled").count(), 2);
}

#[test]
fn rollback_returns_to_the_release_before_and_to_a_given_one() {
    let mut cluster = Cluster::new(2);
    let versions = ["1", "2", "3"].map(|version| {
        let deployment = cluster.deploy("shop", &[("web", good(version), 2)]);
        cluster.end_of(deployment);
        deployment
    });
    assert_eq!(cluster.versions("web"), [versions[2]; 2]);
    let back = cluster.request(|draft| requests::rollback(draft, "shop", 0)).unwrap().0;
    assert_eq!(cluster.end_of(back).state, DeploymentState::Succeeded);
    assert_eq!(cluster.versions("web"), [versions[1]; 2]);
    let back = cluster.request(|draft| requests::rollback(draft, "shop", versions[0])).unwrap().0;
    cluster.end_of(back);
    assert_eq!(cluster.versions("web"), [versions[0]; 2]);
    assert_eq!(cluster.request(|draft| requests::rollback(draft, "shop", versions[0])).unwrap().0, 0);
    let error = cluster.request(|draft| requests::rollback(draft, "shop", 99)).unwrap_err().to_string();
    assert_eq!(error, "stack `shop` has no release 99; complete deployments: 1, 2, 3, 4, 5");
}

#[test]
fn a_service_that_a_deploy_no_longer_has_ends_after_the_others_are_complete() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", good("1"), 2), ("old", good("1"), 2)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", good("2"), 2)]);
    for _ in 0..200 {
        cluster.tick();
        if cluster.endpoints("old").len() < 2 {
            break;
        }
    }
    assert_eq!(cluster.versions("web"), [second; 2]);
    assert_eq!(cluster.end_of(second).state, DeploymentState::Succeeded);
    assert_eq!((cluster.service("shop", "old"), cluster.tasks().len()), (None, 2));
    // A rollback brings it back.
    let back = cluster.request(|draft| requests::rollback(draft, "shop", 0)).unwrap().0;
    assert_eq!(cluster.end_of(back).state, DeploymentState::Succeeded);
    assert_eq!(cluster.versions("old"), [first; 2]);
}

#[test]
fn a_removed_stack_leaves_nothing() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", good("1"), 2), ("db", good("1"), 1)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", spec("2", "sick"), 2), ("db", good("1"), 1)]);
    cluster.ticks(8);
    cluster.request(|draft| requests::remove(draft, "shop")).unwrap();
    assert_eq!(cluster.end_of(second).error.as_deref(), Some("the stack was removed"));
    cluster.ticks(30);
    assert_eq!((cluster.tasks(), cluster.processes.len()), (vec![], 0));
    assert_eq!(cluster.records().stacks.values().count(), 0);
    assert_eq!(cluster.records().groups.values().count(), 0);
    assert_eq!(cluster.records().states.values().count(), 0);
    assert!(cluster.request(|draft| requests::remove(draft, "shop")).is_err());
    let again = cluster.deploy("shop", &[("web", good("1"), 2)]);
    assert_eq!(cluster.end_of(again).state, DeploymentState::Succeeded);
}

#[test]
fn a_stopped_service_runs_nothing_until_it_is_restarted() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", good("1"), 2), ("db", good("1"), 1)]);
    cluster.end_of(first);
    assert_eq!(cluster.request(|draft| requests::stop(draft, "shop", "web")).unwrap().0, 0);
    cluster.ticks(20);
    assert_eq!((cluster.endpoints("web").len(), cluster.endpoints("db").len(), cluster.tasks().len()), (0, 1, 1));
    let start = cluster.request(|draft| requests::restart(draft, "shop", "web")).unwrap().0;
    assert_eq!(cluster.end_of(start).state, DeploymentState::Succeeded);
    assert_eq!(cluster.versions("web"), [first; 2]);
    // A deploy starts it too, although nothing else differs.
    cluster.request(|draft| requests::stop(draft, "shop", "")).unwrap();
    cluster.ticks(20);
    assert_eq!(cluster.tasks(), []);
    let start = cluster.deploy("shop", &[("web", good("1"), 2), ("db", good("1"), 1)]);
    assert_eq!(cluster.end_of(start).state, DeploymentState::Succeeded);
    assert_eq!((cluster.endpoints("web").len(), cluster.endpoints("db").len()), (2, 1));
}

#[test]
fn a_service_that_is_stopped_during_its_rollout_does_not_hold_up_the_deployment() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", spec("1", "sick"), 2), ("db", good("1"), 1)]);
    cluster.ticks(4);
    cluster.request(|draft| requests::stop(draft, "shop", "web")).unwrap();
    assert_eq!(cluster.end_of(first).state, DeploymentState::Succeeded);
    cluster.ticks(10);
    assert_eq!((cluster.endpoints("db").len(), cluster.tasks().len()), (1, 1));
}

#[test]
fn a_restart_replaces_all_tasks_without_a_gap() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 3), ("db", good("1"), 1)]);
    cluster.end_of(first);
    let before: Vec<u64> = cluster.endpoints("web").iter().map(|task| task.id).collect();
    let restart = cluster.request(|draft| requests::restart(draft, "shop", "web")).unwrap().0;
    while cluster.runs(restart) {
        cluster.tick();
        assert!(cluster.endpoints("web").len() >= 3, "{}", cluster.describe());
    }
    assert!(cluster.endpoints("web").iter().all(|task| !before.contains(&task.id)));
    assert_eq!(cluster.deploy("shop", &[("web", good("1"), 3), ("db", good("1"), 1)]), 0, "its version is the same");
    let error = cluster.request(|draft| requests::rollback(draft, "shop", 0)).unwrap_err().to_string();
    assert_eq!(error, "stack `shop` has no earlier release", "a restart makes none");
}

#[test]
fn a_dependency_comes_first() {
    let conditions = [
        (DependencySpec::Started, "good", 2),
        (DependencySpec::Healthy, "good", 2),
        (DependencySpec::Completed, "job", 1),
    ];
    for (condition, behaviour, count) in conditions {
        let mut cluster = Cluster::new(2);
        let services = [("db", spec("1", behaviour), count), ("web", depending("1", "db", condition), 2)];
        let first = cluster.deploy("shop", &services);
        assert!(cluster.pass());
        assert!(cluster.tasks().iter().all(|task| task.service == "db"), "{condition:?}");
        let waits = cluster.service("shop", "web").unwrap().rollout.unwrap().waits_for;
        assert!(waits.starts_with("service `db` to "), "{waits}");
        while cluster.tasks().iter().all(|task| task.service == "db") {
            cluster.tick();
        }
        let db = cluster.tasks().into_iter().find(|task| task.service == "db").unwrap();
        let state = cluster.state(db.id).unwrap();
        match condition {
            DependencySpec::Started => assert!(!state.gone),
            DependencySpec::Healthy => assert_eq!(cluster.endpoints("db").len(), 2),
            DependencySpec::Completed => assert!(state.gone && state.exit_code == Some(0)),
        }
        assert_eq!(cluster.end_of(first).state, DeploymentState::Succeeded);
        cluster.ticks(1_300);
        assert_eq!((cluster.endpoints("web").len(), cluster.tasks().len()), (2, 2 + count as usize), "{condition:?}");
    }
}

#[test]
fn a_dependency_that_rests_without_being_healthy_fails_what_waits_for_it() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("db", good("1"), 1), ("web", good("1"), 1)]);
    cluster.end_of(first);
    let waits = depending("2", "db", DependencySpec::Completed);
    let second = cluster.deploy("shop", &[("db", good("1"), 1), ("web", waits, 1)]);
    let end = cluster.end_of(second);
    let error = "service `web`: it waited 60 s for service `db` to complete";
    assert_eq!((end.state, end.error.as_deref()), (DeploymentState::RolledBack, Some(error)));
    assert_eq!(cluster.versions("web"), [first]);
}

#[test]
fn a_service_of_every_node_has_the_nodes_ids_as_numbers_and_rolls_like_others() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("log", good("1"), EVERY_NODE)]);
    assert_eq!(cluster.end_of(first).state, DeploymentState::Succeeded);
    let places = |cluster: &Cluster| {
        let mut places: Vec<_> = cluster.endpoints("log").iter().map(|task| (task.node, task.index)).collect();
        places.sort_unstable();
        places
    };
    assert_eq!(places(&cluster), [(1, 1), (2, 2), (3, 3)]);
    let second = cluster.deploy("shop", &[("log", good("2"), EVERY_NODE)]);
    while cluster.runs(second) {
        cluster.tick();
        assert!(cluster.endpoints("log").len() >= 3 && cluster.processes.len() <= 4, "{}", cluster.describe());
    }
    assert_eq!((places(&cluster), cluster.versions("log")), (vec![(1, 1), (2, 2), (3, 3)], vec![second; 3]));
    cluster.add_node(7);
    cluster.ticks(6);
    assert_eq!(places(&cluster).last(), Some(&(7, 7)));
    assert!(cluster.request(|draft| requests::scale(draft, "shop", "log", 2)).is_err());
}

#[test]
fn a_fixed_port_of_the_node_makes_the_old_task_go_first() {
    let fixed = |version: &str| {
        let mut spec = good(version);
        (spec.ports[0].published, spec.ports[0].host) = (Some((8080, 8080)), true);
        spec
    };
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", fixed("1"), 2)]);
    cluster.end_of(first);
    assert!(cluster.tasks().iter().all(|task| task.ports[0].number == 8080));
    let second = cluster.deploy("shop", &[("web", fixed("2"), 2)]);
    while cluster.runs(second) {
        cluster.tick();
        assert!(!cluster.endpoints("web").is_empty(), "{}", cluster.describe());
    }
    assert_eq!((cluster.versions("web"), cluster.nodes_of("web")), (vec![second; 2], vec![1, 2]));
    assert!(!cluster.events().contains(&"task.unplaced".to_owned()), "waiting for a port is no lack of nodes");
}

#[test]
fn batches_may_be_larger_and_apart_in_time() {
    let slow = |version: &str| ServiceSpec {
        update: UpdateSpec { batch: 2, delay_ms: 10_000, ..good(version).update },
        ..good(version)
    };
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", slow("1"), 4)]);
    cluster.end_of(first);
    let (second, begun) = (cluster.deploy("shop", &[("web", slow("2"), 4)]), cluster.ms);
    cluster.ticks(12);
    assert_eq!(cluster.versions("web").iter().filter(|version| **version == second).count(), 2);
    assert_eq!(cluster.end_of(second).state, DeploymentState::Succeeded);
    assert!(cluster.ms - begun >= 10_000);
}

#[test]
fn a_leader_that_is_interrupted_anywhere_is_followed_by_one_that_goes_on() {
    for interrupted_after in 0..12 {
        let mut cluster = Cluster::new(3);
        let first = cluster.deploy("shop", &[("web", good("1"), 3), ("db", good("1"), 1)]);
        cluster.end_of(first);
        let second = cluster.deploy("shop", &[("web", good("2"), 3)]);
        while cluster.runs(second) {
            cluster.interrupted_after = Some(interrupted_after);
            cluster.pass();
            cluster.tick();
            assert!(cluster.endpoints("web").len() >= 3, "after {interrupted_after}: {}", cluster.describe());
        }
        assert_eq!((cluster.versions("web"), cluster.tasks().len()), (vec![second; 3], 3));
        let events = cluster.events();
        assert_eq!(events.iter().filter(|kind| *kind == "deployment.succeeded").count(), 2);
    }
}
