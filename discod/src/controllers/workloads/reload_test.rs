//! Changed secrets and configs: new tasks, or new files and a signal.

use std::collections::{BTreeMap, BTreeSet};

use disco_proto::v1::NamedValue;

use super::harness::{Cluster, good, spec};
use crate::cluster::secrets::Sealer;
use crate::cluster::workloads::versions::{self, Target, Version};
use crate::cluster::workloads::{requests, values};
use crate::home::SecretsKeys;
use crate::records::{
    Copies, DeploymentState, Records, ServiceSpec, ValueKind, ValuePlace, ValueRecord, ValueUse, ValueVersionRecord,
    keys, list,
};

/// Of configs, which need no key.
fn sealer() -> Sealer {
    Sealer::new(SecretsKeys::default(), String::new())
}

fn config(name: &str, value: &str) -> NamedValue {
    NamedValue { kind: "config".to_owned(), name: name.to_owned(), value: value.to_owned().into() }
}

fn using(name: &str, reload: Option<&str>, spec: ServiceSpec) -> ServiceSpec {
    let place = ValuePlace::File { target: "app.conf".to_owned(), uid: None, gid: None, mode: 0o444 };
    let used = ValueUse { kind: ValueKind::Config, name: name.to_owned(), version: 0, place };
    ServiceSpec { values: vec![used], reload: reload.map(str::to_owned), ..spec }
}

/// Deploys one service, with what the stack defines.
fn deploy(cluster: &mut Cluster, spec: &ServiceSpec, own: Vec<NamedValue>) -> u64 {
    let hash = format!("sha256:{}", spec.labels["version"]);
    let target = Target { copies: Copies::Number(3), version: Version::New { hash, spec: Box::new(spec.clone()) } };
    let deployed = cluster.request(|draft| {
        let mut targets = BTreeMap::from([("web".to_owned(), target)]);
        values::resolve(draft, "shop", &mut targets, own, &sealer())?;
        versions::carry_out(draft, "shop", targets, "deploy")
    });
    deployed.unwrap().0
}

/// Sets the config that the service uses; returns the deployment that applies it.
fn set(cluster: &mut Cluster, value: &str) -> u64 {
    let answer = cluster.request(|draft| values::set(draft, &config("app", value), &sealer())).unwrap();
    answer.1.iter().map(|change| change.deployment).max().unwrap_or(0)
}

fn ids(cluster: &Cluster) -> BTreeSet<u64> {
    cluster.tasks().iter().map(|task| task.id).collect()
}

/// A cluster whose service is complete.
fn deployed(reload: Option<&str>, spec: ServiceSpec) -> Cluster {
    let mut cluster = Cluster::new(3);
    set(&mut cluster, "one");
    let first = deploy(&mut cluster, &using("app", reload, spec), Vec::new());
    assert_eq!(cluster.end_of(first).state, DeploymentState::Succeeded);
    cluster
}

#[test]
fn a_changed_config_is_rolled_out() {
    let mut cluster = deployed(None, good("1"));
    let before = ids(&cluster);
    let deployment = set(&mut cluster, "two");
    while cluster.runs(deployment) {
        cluster.tick();
        assert!(cluster.endpoints("web").len() >= 3, "{}", cluster.describe());
    }
    assert!(ids(&cluster).is_disjoint(&before) && cluster.versions("web") == [deployment; 3], "{}", cluster.describe());
}

#[test]
fn a_task_with_a_signal_stays_and_confirms_its_files() {
    let mut cluster = deployed(Some("SIGHUP"), good("1"));
    let before = ids(&cluster);
    let deployment = set(&mut cluster, "two");
    while cluster.pass() {}
    assert!(cluster.runs(deployment), "nothing is confirmed yet");
    let end = cluster.end_of(deployment);
    assert_eq!((end.state, end.error), (DeploymentState::Succeeded, None));
    assert_eq!(ids(&cluster), before);
    assert_eq!(cluster.versions("web"), [deployment; 3]);
    assert!(!cluster.pass(), "a settled cluster changes nothing");
}

#[test]
fn files_that_do_not_arrive_fail_the_version_and_the_tasks_stay() {
    let mut cluster = deployed(Some("SIGHUP"), spec("1", "stale"));
    let before = ids(&cluster);
    let groups: BTreeSet<u64> = cluster.tasks().iter().map(|task| task.group).collect();
    let deployment = set(&mut cluster, "two");
    while cluster.runs(deployment) {
        cluster.tick();
        assert_eq!(cluster.tasks().len(), 3, "nothing is started in their place: {}", cluster.describe());
    }
    assert_eq!(cluster.end_of(deployment).state, DeploymentState::RolledBack);
    cluster.ticks(20);
    let endpoints = cluster.endpoints("web");
    assert_eq!(endpoints.iter().map(|task| task.id).collect::<BTreeSet<_>>(), before, "{}", cluster.describe());
    assert_eq!(endpoints.iter().map(|task| task.group).collect::<BTreeSet<_>>(), groups);
}

#[test]
fn versions_that_nothing_needs_are_removed() {
    let mut cluster = Cluster::new(3);
    let versions = |cluster: &Cluster| {
        let versions = cluster.store.read(|store| list::<ValueVersionRecord>(store, keys::VALUE_VERSIONS));
        versions.into_iter().map(|version| (version.value.name, version.value.version)).collect::<Vec<_>>()
    };
    let first = deploy(&mut cluster, &using("shop/own", None, good("1")), vec![config("own", "one")]);
    cluster.end_of(first);
    set(&mut cluster, "unused");
    set(&mut cluster, "another");
    cluster.ticks(3);
    assert_eq!(versions(&cluster), [("shop/own".to_owned(), 1), ("app".to_owned(), 3)]);
    let second = deploy(&mut cluster, &using("shop/own", None, good("1")), vec![config("own", "two")]);
    cluster.end_of(second);
    cluster.ticks(20);
    let own = |version| ("shop/own".to_owned(), version);
    assert_eq!(versions(&cluster), [own(1), ("app".to_owned(), 3), own(4)], "a release needs the first one");
    cluster.request(|draft| requests::remove(draft, "shop")).unwrap();
    cluster.ticks(20);
    assert_eq!(versions(&cluster), [("app".to_owned(), 3)]);
    let names = cluster.store.read(|store| list::<ValueRecord>(store, keys::VALUES));
    assert_eq!(names.into_iter().map(|record| record.value.name).collect::<Vec<_>>(), ["app"]);
}

#[test]
fn a_restart_replaces_tasks_that_could_be_signalled() {
    let mut cluster = deployed(Some("SIGHUP"), good("1"));
    let before = ids(&cluster);
    let (deployment, _) = cluster.request(|draft| requests::restart(draft, "shop", "web")).unwrap();
    assert_eq!(cluster.end_of(deployment).state, DeploymentState::Succeeded);
    let running: BTreeSet<u64> = cluster.endpoints("web").iter().map(|task| task.id).collect();
    assert!(running.len() == 3 && running.is_disjoint(&before), "{before:?} became {running:?}");
}
