use disco_proto::v1::{DeployService, DeployStack};
use serde_json::json;

use super::*;
use crate::cluster::workloads::check::targets;
use crate::cluster::workloads::draft::Moment;
use crate::cluster::workloads::requests;
use crate::home::SecretsKeys;
use crate::records::{DeploymentState, Settled};

struct Test {
    draft: Draft,
    sealer: Sealer,
}

fn named(kind: &str, name: &str, value: &str) -> NamedValue {
    NamedValue { kind: kind.to_owned(), name: name.to_owned(), value: value.to_owned().into() }
}

fn used(kind: &str, name: &str, target: &str) -> serde_json::Value {
    json!({ "kind": kind, "name": name, "place": { "file": { "target": target } } })
}

fn service(name: &str, values: &[serde_json::Value]) -> DeployService {
    let spec = json!({
        "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1,
        "process": { "program": "app", "files": [{ "path": "app", "sha256": "0", "size": 1, "mode": 493 }] },
        "values": values,
    });
    let spec = serde_json::to_vec(&spec).unwrap().into();
    DeployService { name: name.to_owned(), hash: format!("sha256:{name}"), spec, copies: r#"{"number":1}"#.into() }
}

impl Test {
    fn new() -> Self {
        let now = Moment { ms: 0, text: "1970-01-01T00:00:00Z".to_owned(), leader: 1, term: 1 };
        let store = disco_store::Store::new(disco_store::Limits::default());
        let (id, keys) = SecretsKeys::generate().unwrap();
        Self { draft: Draft::new(Workloads::read(&store), now), sealer: Sealer::new(keys, id) }
    }

    fn deploy(&mut self, services: Vec<DeployService>, values: Vec<NamedValue>) -> Result<Answer> {
        let mut targets = targets(DeployStack { stack: "shop".to_owned(), services })?;
        resolve(&mut self.draft, "shop", &mut targets, values, &self.sealer)?;
        versions::carry_out(&mut self.draft, "shop", targets, "deploy")
    }

    fn set(&mut self, value: &NamedValue) -> Vec<(String, String, u64)> {
        let (_, changes) = set(&mut self.draft, value, &self.sealer).unwrap();
        changes.into_iter().map(|change| (change.service, change.change, change.deployment)).collect()
    }

    fn group(&self, service: &str) -> &GroupRecord {
        let service = self.draft.records.services.get(&("shop".to_owned(), service.to_owned())).unwrap();
        self.draft.records.groups.get(&service.group).unwrap()
    }

    /// Ends all rollouts, as the controller does.
    fn settle(&mut self) {
        for id in self.draft.services_of("shop") {
            self.draft.records.services.change(&id, |service| {
                service.settled = Some(Settled { group: service.group, copies: service.copies });
                service.rollout = None;
            });
        }
        if let Some(running) = self.draft.records.running("shop").map(|record| record.id) {
            self.draft.end_deployment(running, DeploymentState::Succeeded, None);
        }
    }
}

fn own(value: &str) -> Vec<NamedValue> {
    vec![named("secret", "token", value)]
}

fn web() -> DeployService {
    service("web", &[used("secret", "shop/token", "token"), used("secret", "db", "db")])
}

#[test]
fn a_version_of_a_service_names_versions_and_its_hash_says_nothing_of_values() {
    let mut test = Test::new();
    assert_eq!(test.set(&named("secret", "db", "hunter2")), [(String::new(), "created".to_owned(), 0)]);
    test.deploy(vec![web()], own("first")).unwrap();
    let group = test.group("web");
    assert_eq!(group.hash, "sha256:web+2,1");
    let versions: Vec<u64> = group.spec.values.iter().map(|used| used.version).collect();
    assert_eq!(versions, [2, 1]);
    let stored = test.draft.records.value_versions.values().map(|record| serde_json::to_string(record).unwrap());
    assert!(stored.into_iter().all(|text| !text.contains("hunter2") && !text.contains("first")));
    test.settle();
    let (deployment, changes) = test.deploy(vec![web()], own("first")).unwrap();
    assert!(deployment == 0 && changes[0].change == "unchanged", "{changes:?}");
    let (deployment, changes) = test.deploy(vec![web()], own("second")).unwrap();
    assert!(deployment != 0 && changes[0].change == "updated", "{changes:?}");
    assert_eq!(test.group("web").hash, "sha256:web+3,1");
}

#[test]
fn a_changed_secret_is_a_version_of_each_service_that_uses_it() {
    let mut test = Test::new();
    test.set(&named("secret", "db", "one"));
    test.deploy(vec![web(), service("store", &[])], own("x")).unwrap();
    test.settle();
    let store = test.group("store").id;
    let changes = test.set(&named("secret", "db", "two"));
    let [(_, own, 0), (service, change, deployment)] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((own.as_str(), service.as_str(), change.as_str()), ("updated", "web", "updated"));
    assert_eq!(test.group("web").hash, "sha256:web+2,3");
    assert_eq!(test.group("store").id, store);
    // The answer was lost, and the request is repeated.
    let again = test.set(&named("secret", "db", "two"));
    assert_eq!(again[1], ("web".to_owned(), "unchanged".to_owned(), *deployment));
    assert_eq!(test.group("web").hash, "sha256:web+2,3");
    test.settle();
    // A value that it had before is another version: numbers are never used again.
    test.set(&named("secret", "db", "one"));
    assert_eq!(test.group("web").hash, "sha256:web+2,4");
}

#[test]
fn a_rollback_uses_the_versions_that_there_were() {
    let mut test = Test::new();
    test.set(&named("secret", "db", "one"));
    test.deploy(vec![web()], own("x")).unwrap();
    test.settle();
    let before = test.group("web").id;
    test.set(&named("secret", "db", "two"));
    test.settle();
    let target = Target { copies: crate::records::Copies::Number(1), version: Version::Group(before) };
    versions::carry_out(&mut test.draft, "shop", BTreeMap::from([("web".to_owned(), target)]), "back").unwrap();
    assert_eq!(test.group("web").hash, "sha256:web+2,1");
}

#[test]
fn a_stopped_service_starts_with_the_new_version() {
    let mut test = Test::new();
    test.set(&named("secret", "db", "one"));
    test.deploy(vec![web()], own("x")).unwrap();
    test.settle();
    requests::stop(&mut test.draft, "shop", "web").unwrap();
    let changes = test.set(&named("secret", "db", "two"));
    assert_eq!(changes[1], ("web".to_owned(), "updated".to_owned(), 0));
    requests::restart(&mut test.draft, "shop", "web").unwrap();
    assert_eq!(test.group("web").hash, "sha256:web+2,3");
}

#[test]
fn a_secret_that_is_used_is_not_removed() {
    let mut test = Test::new();
    test.set(&named("secret", "db", "one"));
    test.deploy(vec![web()], own("x")).unwrap();
    let remove = |test: &mut Test, name: &str, force| {
        super::remove(&mut test.draft, ValueKind::Secret, name, force).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(remove(&mut test, "db", false).unwrap_err(), "the secret `db` is used by `shop/web`");
    assert!(remove(&mut test, "shop/token", true).unwrap_err().contains("is defined by the stack `shop`"));
    assert!(remove(&mut test, "none", false).unwrap_err().contains("does not exist"));
    remove(&mut test, "db", true).unwrap();
    assert_eq!(test.group("web").hash, "sha256:web+2,1", "it keeps what it has");
    let error = test.deploy(vec![web()], own("x")).unwrap_err().to_string();
    assert!(error.contains("uses the secret `db`, which does not exist; hint: `disco secret set db`"), "{error}");
}

#[test]
fn wrong_names_kinds_places_and_sizes_are_refused() {
    let mut test = Test::new();
    for (value, words) in [
        (named("secret", "a b", "x"), "invalid name `a b` of a secret"),
        (named("secret", "", "x"), "invalid name"),
        (named("secret", "shop/x", "x"), "would be of the stack `shop`"),
        (named("password", "x", "x"), "invalid kind `password`"),
        (named("config", "x", &"x".repeat(VALUE_BYTES + 1)), "at most 262144 are possible"),
    ] {
        let error = set(&mut test.draft, &value, &test.sealer).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    test.set(&named("secret", "db", "x"));
    for (values, words) in [
        (vec![used("secret", "db", "../etc/passwd")], "invalid place"),
        (vec![used("secret", "db", "/etc/passwd")], "invalid place"),
        (vec![used("secret", "db", "a"), used("secret", "db", "a")], "has the same place"),
    ] {
        let error = test.deploy(vec![service("web", &values)], Vec::new()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn files_and_a_signal_are_enough_where_no_variable_differs() {
    let group = |versions: &str, variable: u64, reload: Option<&str>| {
        let place = json!({ "variable": "X" });
        let spec = json!({
            "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1, "reload": reload,
            "values": [{ "kind": "secret", "name": "x", "version": variable, "place": place }],
        });
        GroupRecord {
            id: 1,
            stack: "shop".to_owned(),
            service: "web".to_owned(),
            deployment: 1,
            hash: format!("sha256:a+{versions}"),
            spec: serde_json::from_value(spec).unwrap(),
        }
    };
    let signal = Some("SIGHUP");
    assert!(can_reload(&group("1,5", 5, signal), &group("2,5", 5, signal)));
    assert!(!can_reload(&group("1,5", 5, signal), &group("2,6", 6, signal)));
    assert!(!can_reload(&group("1,5", 5, None), &group("2,5", 5, None)));
    let other = GroupRecord { hash: "sha256:b+1".to_owned(), ..group("1", 5, signal) };
    assert!(!can_reload(&other, &group("2", 5, signal)));
}
