use disco_proto::v1::{DeployService, DeployStack};

use super::*;
use crate::cluster::workloads::check::targets;
use crate::cluster::workloads::draft::Moment;
use crate::records::{DeploymentState, NodeRecord};

fn draft() -> Draft {
    let now = Moment { ms: 0, text: "1970-01-01T00:00:00Z".to_owned(), leader: 1, term: 1 };
    Draft::new(Workloads::read(&disco_store::Store::new(disco_store::Limits::default())), now)
}

fn spec(more: &serde_json::Value) -> serde_json::Value {
    let mut spec = serde_json::json!({
        "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1,
        "process": { "program": "app", "files": [{ "path": "app", "sha256": "0", "size": 1, "mode": 493 }] },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

fn service(name: &str, hash: &str, copies: &str, more: &serde_json::Value) -> DeployService {
    let spec = serde_json::to_vec(&spec(more)).unwrap();
    DeployService { name: name.to_owned(), hash: hash.to_owned(), spec: spec.into(), copies: copies.to_owned().into() }
}

fn stack(services: Vec<DeployService>) -> DeployStack {
    DeployStack { stack: "shop".to_owned(), services }
}

fn deploy(draft: &mut Draft, services: Vec<DeployService>) -> Answer {
    versions::carry_out(draft, "shop", targets(stack(services)).unwrap(), "deploy").unwrap()
}

fn plain(name: &str, hash: &str, count: u32) -> DeployService {
    service(name, hash, &format!(r#"{{"number":{count}}}"#), &serde_json::json!({}))
}

fn labels(answer: &Answer) -> Vec<(&str, &str, &str)> {
    answer.1.iter().map(|change| (&*change.service, &*change.change, &*change.detail)).collect()
}

/// Ends all rollouts, as the controller does.
fn settle(draft: &mut Draft) {
    for id in draft.services_of("shop") {
        draft.records.services.change(&id, |service| {
            let settled = crate::records::Settled { group: service.group, copies: service.copies };
            (service.settled, service.rollout) = (Some(settled), None);
        });
    }
    if let Some(running) = draft.records.running("shop").map(|record| record.id) {
        draft.end_deployment(running, DeploymentState::Succeeded, None);
    }
}

#[test]
fn what_a_deploy_changes_is_named() {
    let mut draft = draft();
    let first = deploy(&mut draft, vec![plain("web", "a", 3), plain("db", "a", 1), plain("old", "a", 1)]);
    let created = [("db", "created", "1 copy"), ("old", "created", "1 copy"), ("web", "created", "3 copies")];
    assert_eq!((first.0, labels(&first)), (1, created.into()));
    settle(&mut draft);
    let second = deploy(&mut draft, vec![plain("web", "a", 5), plain("db", "b", 1)]);
    let changed = [("db", "updated", "1 copy"), ("web", "scaled", "5 copies, was 3 copies"), ("old", "removed", "")];
    assert_eq!((second.0, labels(&second)), (2, changed.into()));
    let groups: Vec<(u64, &str)> = draft.records.groups.values().map(|group| (group.id, &*group.hash)).collect();
    assert_eq!(groups, [(1, "a"), (2, "a"), (3, "a"), (4, "b")], "no new group where only the number differs");
    // The same again, while it is under way.
    let again = deploy(&mut draft, vec![plain("web", "a", 5), plain("db", "b", 1)]);
    assert_eq!(again.0, 2);
    assert_eq!(labels(&again)[0], ("db", "unchanged", ""));
}

#[test]
fn a_number_of_copies_that_is_under_way_is_no_further_change() {
    let mut draft = draft();
    deploy(&mut draft, vec![plain("web", "a", 1)]);
    settle(&mut draft);
    let first = scale(&mut draft, "shop", "web", 3).unwrap();
    let (news, rollout) = (draft.news.len(), draft.records.services.values().next().unwrap().rollout.clone());
    let again = scale(&mut draft, "shop", "web", 3).unwrap();
    assert_eq!((again.0, labels(&again)), (first.0, vec![("web", "unchanged", "3 copies")]));
    assert_eq!(draft.news.len(), news);
    assert_eq!(draft.records.services.values().next().unwrap().rollout, rollout);
}

#[test]
fn what_joins_a_deployment_depends_on_its_record() {
    let mut draft = draft();
    let deployment = deploy(&mut draft, vec![plain("web", "a", 1)]).0;
    let key = keys::deployment(deployment);
    let before = draft.records.clone();
    for join in [|draft: &mut Draft| scale(draft, "shop", "web", 3), |draft: &mut Draft| restart(draft, "shop", "")] {
        draft.records = before.clone();
        assert_eq!(join(&mut draft).unwrap().0, deployment);
        assert!(
            draft.records.changes_since(&before).iter().any(|change| change.key == key && change.revision.is_some())
        );
    }
}

#[test]
fn a_request_about_what_does_not_exist_is_refused() {
    let mut draft = draft();
    let text = |error: Error| error.to_string();
    assert_eq!(text(scale(&mut draft, "shop", "web", 1).unwrap_err()), "stack `shop` does not exist");
    assert_eq!(text(drain(&mut draft, 7, true).unwrap_err()), "node 7 does not exist");
    deploy(&mut draft, vec![plain("web", "a", 1)]);
    assert_eq!(text(restart(&mut draft, "shop", "db").unwrap_err()), "stack `shop` has no service `db`");
    let one = serde_json::json!({ "singleton": true });
    deploy(&mut draft, vec![service("one", "a", r#"{"number":1}"#, &one)]);
    let error = text(scale(&mut draft, "shop", "one", 2).unwrap_err());
    assert_eq!(error, "service `one`: a singleton has one copy at most, not 2");
}

#[test]
fn a_service_that_cannot_be_is_refused_with_the_reason() {
    let number = r#"{"number":1}"#;
    let cases = [
        (serde_json::json!({ "driver": "docker" }), number, "unknown driver `docker`: expected process"),
        (serde_json::json!({ "process": null }), number, "the driver `process` needs a program"),
        (serde_json::json!({ "constraints": ["disk = ssd"] }), number, "invalid constraint `disk = ssd`"),
        (serde_json::json!({ "singleton": true }), r#""every_node""#, "a singleton cannot run on every node"),
        (
            serde_json::json!({ "depends_on": { "db": "healthy" } }),
            number,
            "depends on `db`, which is not in the stack",
        ),
        (serde_json::json!({}), r#"{"number":5000}"#, "1000 copies at most"),
        (serde_json::json!({}), "3", "cannot read its number of copies"),
    ];
    for (more, copies, reason) in cases {
        let error = targets(stack(vec![service("web", "a", copies, &more)])).err().unwrap().to_string();
        assert!(error.contains("service `web`") && error.contains(reason), "{error}");
    }
    assert!(targets(stack(vec![])).is_err());
    assert!(targets(stack(vec![plain("a/b", "a", 1)])).is_err());
    assert!(targets(stack(vec![plain("a", "a", 1), plain("a", "b", 1)])).is_err());
}

#[test]
fn a_stack_of_the_most_services_is_one_change() {
    let mut draft = draft();
    let many = |hash: &str| (0..40).map(|n| plain(&format!("s{n}"), hash, 1)).collect::<Vec<_>>();
    for hash in ["a", "b"] {
        let before = draft.records.clone();
        draft.news.clear();
        deploy(&mut draft, many(hash));
        let changes = draft.records.changes_since(&before);
        assert!(changes.len() > 80);
        assert_eq!(super::super::write::fits(&changes, &draft.news), Ok(()));
    }
}

#[test]
fn services_that_depend_on_each_other_are_refused() {
    let on = |name: &str, other: &str| {
        let more = serde_json::json!({ "depends_on": { other: "healthy" } });
        service(name, "a", r#"{"number":1}"#, &more)
    };
    let error = targets(stack(vec![on("a", "b"), on("b", "c"), on("c", "a"), plain("d", "a", 1)])).err().unwrap();
    assert_eq!(error.to_string(), "services `a`, `b`, `c` depend on each other in a circle");
    assert!(targets(stack(vec![on("a", "b"), on("b", "c"), plain("c", "a", 1)])).is_ok());
}

#[test]
fn a_drained_node_is_recorded_once() {
    let mut draft = draft();
    draft.records.nodes.put(2, NodeRecord { id: 2, name: "n2".to_owned(), ..NodeRecord::default() });
    drain(&mut draft, 2, true).unwrap();
    drain(&mut draft, 2, true).unwrap();
    assert!(draft.records.nodes.get(&2).unwrap().drained);
    assert_eq!(draft.news.iter().map(|news| &*news.event.kind).collect::<Vec<_>>(), ["node.drained"]);
}

#[test]
fn a_stack_that_is_removed_during_a_deployment_ends_it() {
    let mut draft = draft();
    deploy(&mut draft, vec![plain("web", "a", 1)]);
    let answer = remove(&mut draft, "shop").unwrap();
    assert_eq!((answer.0, labels(&answer)), (0, vec![("web", "removed", "")]));
    let ended = draft.records.deployments.get(&1).unwrap();
    assert_eq!((ended.state, ended.error.as_deref()), (DeploymentState::Failed, Some("the stack was removed")));
}
