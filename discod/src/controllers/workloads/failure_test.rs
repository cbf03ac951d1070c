//! Versions that fail.

use disco_store::typed::{RestartSpec, UpdateSpec};

use super::harness::{Cluster, Fault, depending, good, large, spec};
use crate::cluster::workloads::requests;
use crate::records::{
    CapacityRecord, DependencySpec, DeploymentRecord, DeploymentState, Goal, RestartCondition, ServiceSpec, TaskState,
    keys,
};

#[test]
fn a_version_that_fails_goes_back_and_the_old_one_was_never_touched() {
    for (behaviour, error) in [
        ("crash", "service `web`: tasks of the new version failed 3 times: exit code 1"),
        ("loop", "service `web`: tasks of the new version failed 3 times: exit code 2"),
        ("sick", "service `web`: the new version was not healthy within 60 s: GET /healthy: 503"),
        ("refused", "service `web`: tasks of the new version failed 3 times: port 20000 is in use"),
    ] {
        let mut cluster = Cluster::new(3);
        let first = cluster.deploy("shop", &[("web", good("1"), 3), ("db", good("1"), 1)]);
        cluster.end_of(first);
        let before: Vec<u64> = cluster.endpoints("web").iter().map(|task| task.id).collect();
        let second = cluster.deploy("shop", &[("web", spec("2", behaviour), 3), ("db", good("2"), 1)]);
        while cluster.runs(second) {
            cluster.tick();
            assert!(cluster.endpoints("web").len() >= 3, "{}", cluster.describe());
        }
        let end = cluster.end_of(second);
        assert_eq!((end.state, end.error.as_deref()), (DeploymentState::RolledBack, Some(error)));
        cluster.ticks(10);
        assert_eq!(cluster.endpoints("web").iter().map(|task| task.id).collect::<Vec<_>>(), before);
        assert_eq!(cluster.versions("db"), [first], "what belonged to the deployment goes back as well");
        let service = cluster.service("shop", "web").unwrap();
        assert_eq!((service.rollout, service.settled.unwrap().group), (None, service.group));
        // What failed can be looked at, for a while.
        let failed = |cluster: &Cluster| cluster.tasks().into_iter().filter(|task| task.goal == Goal::Stop).count();
        assert!((1..=3).contains(&failed(&cluster)), "{behaviour}: {}", cluster.describe());
        cluster.ticks(1_250);
        assert_eq!((failed(&cluster), cluster.tasks().len()), (0, 4));
        assert!(cluster.events().contains(&"deployment.rolled_back".to_owned()));
        // The same version is tried again if it is asked for.
        assert_ne!(cluster.deploy("shop", &[("web", spec("2", behaviour), 3), ("db", good("2"), 1)]), 0);
    }
}

#[test]
fn a_first_version_that_fails_ends_and_the_rest_of_the_stack_stays() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", spec("1", "crash"), 3), ("db", good("1"), 1)]);
    let end = cluster.end_of(first);
    assert_eq!(end.state, DeploymentState::Failed);
    cluster.ticks(10);
    assert_eq!((cluster.endpoints("web").len(), cluster.processes.len()), (0, cluster.endpoints("db").len()));
    let service = cluster.service("shop", "web").unwrap();
    assert_eq!((service.rollout, service.settled), (None, None));
    assert!(cluster.events().contains(&"task.failed".to_owned()));
    let second = cluster.deploy("shop", &[("web", good("2"), 3), ("db", good("1"), 1)]);
    assert_eq!(cluster.end_of(second).state, DeploymentState::Succeeded);
    assert_eq!(cluster.versions("web"), [second; 3]);
    // Now there is something to go back to.
    let third = cluster.deploy("shop", &[("web", spec("3", "crash"), 3), ("db", good("1"), 1)]);
    assert_eq!(cluster.end_of(third).state, DeploymentState::RolledBack);
    assert_eq!(cluster.versions("web"), [second; 3]);
}

#[test]
fn a_new_service_of_a_deployment_that_fails_is_removed_and_a_removed_one_stays() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 2), ("old", good("1"), 1)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", spec("2", "crash"), 2), ("new", good("1"), 1)]);
    assert_eq!(cluster.end_of(second).state, DeploymentState::RolledBack);
    cluster.ticks(20);
    assert_eq!(cluster.service("shop", "new"), None);
    assert_eq!((cluster.versions("web"), cluster.versions("old")), (vec![first; 2], vec![first]));
    let old = cluster.service("shop", "old").unwrap();
    assert!(!old.removed && old.rollout.is_none());
}

#[test]
fn a_version_without_a_node_fails_with_the_reason_of_each_node() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", large("1", 300), 2)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", large("2", 900), 2)]);
    let end = cluster.end_of(second);
    assert_eq!(end.state, DeploymentState::RolledBack);
    let reason = "web 1: n1: needs 900 bytes of memory, 700 bytes free; n2: needs 900 bytes of memory, 700 bytes free";
    assert_eq!(end.unplaced.as_deref(), Some(reason));
    assert_eq!(end.error, Some(format!("service `web`: the new version fits on no node: {reason}")));
    assert_eq!(
        (cluster.versions("web"), cluster.service("shop", "web").unwrap().unplaced),
        (vec![first; 2], String::new())
    );
    assert_eq!(cluster.events().iter().filter(|kind| *kind == "task.unplaced").count(), 1, "once for one reason");
}

/// The previous version's tasks hold what the new one lacks, and stay until it is there: that is no reason to wait for ever.
#[test]
fn a_version_that_no_node_could_ever_run_fails_beside_the_old_one() {
    let mut cluster = Cluster::new(1);
    let first = cluster.deploy("shop", &[("web", large("1", 300), 2)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", large("2", 900 << 30), 2)]);
    let end = cluster.end_of(second);
    assert_eq!(end.unplaced.as_deref(), Some("web 1: n1: needs 900 GiB of memory, 400 bytes free"));
    assert_eq!(cluster.versions("web"), [first; 2]);
}

#[test]
fn a_task_without_a_node_starts_when_one_has_space() {
    let mut cluster = Cluster::new(1);
    let first = cluster.deploy("shop", &[("web", large("1", 600), 2)]);
    cluster.ticks(10);
    assert_eq!(cluster.endpoints("web").len(), 1);
    let service = cluster.service("shop", "web").unwrap();
    assert_eq!(service.unplaced, "web 2: n1: needs 600 bytes of memory, 400 bytes free");
    assert!(service.rollout.unwrap().waits_for.starts_with("a node: web 2"));
    cluster.add_node(2);
    assert_eq!(cluster.end_of(first).state, DeploymentState::Succeeded);
    assert_eq!(cluster.service("shop", "web").unwrap().unplaced, "");
}

#[test]
fn a_task_that_fails_in_a_settled_service_is_replaced_ever_more_slowly() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", good("1"), 1)]);
    cluster.end_of(first);
    let mut replaced = Vec::new();
    for _ in 0..400 {
        let running = cluster.endpoints("web").first().map(|task| task.id);
        if let Some(id) = running {
            let mut state = cluster.state(id).unwrap();
            (state.state, state.healthy, state.gone, state.reason) =
                (TaskState::Failed, false, true, "exit code 9".into());
            cluster.store.put(&keys::task_state(id), &state);
            cluster.processes.remove(&id);
            replaced.push(cluster.ms);
        }
        cluster.tick();
    }
    let gaps: Vec<i64> = replaced.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.len() >= 4 && gaps[0] >= 1_000 && gaps[1] >= 10_000 && gaps[3] >= 60_000, "{gaps:?}");
    assert!(cluster.tasks().len() <= 4, "{}", cluster.describe());
}

/// Its failures count for ever, and every attempt is later than the one before.
#[test]
fn a_rollout_that_never_fails_backs_off_and_leaves_few_records() {
    let endless = |version: &str, behaviour: &str| {
        let spec = spec(version, behaviour);
        ServiceSpec { update: UpdateSpec { max_failures: 1_000_000, limit_ms: 10_000_000, ..spec.update }, ..spec }
    };
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", endless("1", "good"), 1)]);
    cluster.end_of(first);
    cluster.deploy("shop", &[("web", endless("2", "crash"), 1)]);
    for _ in 0..1_000 {
        cluster.tick();
        assert!(cluster.tasks().len() <= 5, "{}", cluster.describe());
    }
    let newest = cluster.tasks().last().unwrap().id;
    assert!((1_005..1_015).contains(&newest), "{}", cluster.describe());
    let rollout = cluster.service("shop", "web").unwrap().rollout.unwrap();
    assert!(rollout.failures + 4 >= newest - 1_001, "{rollout:?}, {newest}");
}

#[test]
fn failures_of_the_old_version_do_not_postpone_the_end_of_a_bad_one() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 2)]);
    cluster.end_of(first);
    let (second, begun) = (cluster.deploy("shop", &[("web", spec("2", "sick"), 2)]), cluster.ms);
    while cluster.runs(second) {
        cluster.ticks(20);
        if let Some(task) = cluster.endpoints("web").into_iter().find(|task| (task.group, task.index) == (1, 1)) {
            let mut state = cluster.state(task.id).unwrap();
            (state.state, state.healthy, state.gone) = (TaskState::Failed, false, true);
            cluster.store.put(&keys::task_state(task.id), &state);
            cluster.processes.remove(&task.id);
        }
        assert!(cluster.ms - begun < 80_000, "{}", cluster.describe());
    }
    assert_eq!(cluster.end_of(second).state, DeploymentState::RolledBack);
}

#[test]
fn a_service_that_waits_for_one_that_stays_failed_goes_back() {
    let mut db = spec("2", "sick");
    db.update.keep_failed = true;
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 1), ("db", good("1"), 1)]);
    cluster.end_of(first);
    let web = depending("2", "db", DependencySpec::Healthy);
    let second = cluster.deploy("shop", &[("web", web, 1), ("db", db, 1)]);
    assert_eq!(cluster.end_of(second).state, DeploymentState::Failed);
    cluster.ticks(200);
    let web = cluster.service("shop", "web").unwrap();
    assert_eq!((web.rollout.is_none(), cluster.versions("web")), (true, vec![first]), "{}", cluster.describe());
}

#[test]
fn one_failing_copy_does_not_delay_those_of_a_lost_node() {
    let mut cluster = Cluster::new(4);
    let first = cluster.deploy("shop", &[("web", good("1"), 3)]);
    cluster.end_of(first);
    let (failing, lost) = (cluster.endpoints("web")[0].index, cluster.endpoints("web")[1].clone());
    let mut begun = None;
    for round in 0.. {
        if let Some(task) = cluster.endpoints("web").into_iter().find(|task| task.index == failing) {
            let mut state = cluster.state(task.id).unwrap();
            (state.state, state.healthy, state.gone) = (TaskState::Failed, false, true);
            cluster.store.put(&keys::task_state(task.id), &state);
            cluster.processes.remove(&task.id);
        }
        if round == 60 {
            cluster.cut(lost.node, Fault::Dead);
            begun = Some(cluster.ms);
        }
        cluster.tick();
        let others = cluster.endpoints("web").into_iter().filter(|task| task.index != failing);
        if begun.is_some_and(|_| others.filter(|task| task.node != lost.node).count() >= 2) {
            break;
        }
        assert!(begun.is_none_or(|begun| cluster.ms - begun < 10_000), "{}", cluster.describe());
    }
}

#[test]
fn a_version_whose_tasks_only_start_again_and_again_is_no_progress() {
    let mut version = spec("2", "crash");
    (version.update.max_failures, version.update.limit_ms) = (1_000, 60_000);
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", good("1"), 1)]);
    cluster.end_of(first);
    let (second, begun) = (cluster.deploy("shop", &[("web", version, 1)]), cluster.ms);
    assert_eq!(cluster.end_of(second).state, DeploymentState::RolledBack);
    assert!(cluster.ms - begun < 120_000, "after {} ms", cluster.ms - begun);
}

#[test]
fn a_failed_version_that_shall_stay_waits_for_an_operator() {
    let keeps = |version: &str, behaviour: &str| {
        let spec = spec(version, behaviour);
        ServiceSpec { update: UpdateSpec { keep_failed: true, ..spec.update }, ..spec }
    };
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", keeps("1", "good"), 2)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", keeps("2", "sick"), 2)]);
    assert_eq!(cluster.end_of(second).state, DeploymentState::Failed);
    cluster.ticks(50);
    assert_eq!((cluster.versions("web"), cluster.processes.len()), (vec![first; 2], 3));
    let third = cluster.deploy("shop", &[("web", keeps("3", "good"), 2)]);
    assert_eq!(cluster.end_of(third).state, DeploymentState::Succeeded);
    assert_eq!((cluster.versions("web"), cluster.processes.len()), (vec![third; 2], 2));
}

#[test]
fn a_task_that_is_never_started_again_fails_its_version_at_once() {
    let once = ServiceSpec {
        restart: RestartSpec { condition: RestartCondition::Never, ..RestartSpec::default() },
        ..spec("1", "crash")
    };
    let mut cluster = Cluster::new(1);
    let first = cluster.deploy("shop", &[("job", once, 1)]);
    let end = cluster.end_of(first);
    assert_eq!(end.error.as_deref(), Some("service `job`: a task of the new version failed: exit code 1"));
    assert_eq!(cluster.tasks().len(), 1);
}

#[test]
fn nothing_joins_a_deployment_that_goes_back() {
    let mut cluster = Cluster::new(3);
    let first = cluster.deploy("shop", &[("web", good("1"), 3)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", spec("2", "crash"), 3)]);
    while cluster.store.get::<DeploymentRecord>(&keys::deployment(second)).unwrap().error.is_none() {
        cluster.pass();
        cluster.act(|_, _| true);
        cluster.ms += 500;
    }
    let record: DeploymentRecord = cluster.store.get(&keys::deployment(second)).unwrap();
    if record.state == DeploymentState::Running {
        let error = cluster.request(|draft| requests::scale(draft, "shop", "web", 5)).unwrap_err().to_string();
        assert!(error.contains("goes back"), "{error}");
    }
    // A deploy takes its place.
    let third = cluster.deploy("shop", &[("web", good("3"), 3)]);
    assert_eq!(cluster.end_of(third).state, DeploymentState::Succeeded);
    assert_eq!(cluster.versions("web"), [third; 3]);
}

#[test]
fn a_deployment_ends_although_the_previous_version_does_not_work_any_more_either() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", good("1"), 1)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", spec("2", "sick"), 2)]);
    // The node of the old task cannot run it again, nor can the other one.
    let id = cluster.endpoints("web")[0].id;
    let mut state = cluster.state(id).unwrap();
    (state.state, state.healthy, state.gone) = (TaskState::Failed, false, true);
    cluster.store.put(&keys::task_state(id), &state);
    for node in [1, 2] {
        cluster.store.put(&keys::capacity(node), &CapacityRecord::default());
    }
    let end = cluster.end_of(second);
    assert_eq!(end.state, DeploymentState::Failed);
    let error = end.error.unwrap();
    assert!(error.ends_with("; the previous version of `web` was not healthy within 60 s either"), "{error}");
    for node in [1, 2] {
        cluster.add_node(node);
    }
    cluster.ticks(20);
    assert_eq!(cluster.versions("web"), [first], "it is tried all the time");
}

#[test]
fn what_is_healthy_stays_where_the_way_back_is_given_up() {
    let mut cluster = Cluster::new(2);
    let first = cluster.deploy("shop", &[("web", good("1"), 2), ("db", good("1"), 1)]);
    cluster.end_of(first);
    let second = cluster.deploy("shop", &[("web", good("2"), 2), ("db", spec("2", "sick"), 1)]);
    while cluster.versions("web") != [second; 2] {
        assert!(cluster.runs(second), "{}", cluster.describe());
        cluster.tick();
    }
    // No node can run the previous version again.
    for node in [1, 2] {
        cluster.store.put(&keys::capacity(node), &CapacityRecord::default());
    }
    assert_eq!(cluster.end_of(second).state, DeploymentState::Failed);
    cluster.ticks(20);
    assert_eq!(cluster.endpoints("web").len(), 2, "{}", cluster.describe());
    for node in [1, 2] {
        cluster.add_node(node);
    }
    for _ in 0..200 {
        cluster.tick();
        assert!(cluster.endpoints("web").len() >= 2, "{}", cluster.describe());
    }
    assert_eq!(cluster.versions("web"), [first; 2]);
}
