use serde_json::{Value, json};

use super::{super::catalogue::tests::catalogue, *};

fn scope() -> Scope {
    Scope { deployment: 0, stack: "shop".to_owned(), services: Vec::new() }
}

fn service(more: &Value) -> Value {
    let mut service = json!({ "stack": "shop", "name": "web", "copies": { "number": 2 }, "group": 2 });
    for (key, value) in more.as_object().unwrap() {
        service[key] = value.clone();
    }
    service
}

fn task(id: u64, group: u64, state: &Value) -> (Value, Value) {
    let record = json!({ "id": id, "stack": "shop", "service": "web", "group": group, "index": id, "node": 1, "ports": [],
        "needs": {}, "goal": "run", "since": "" });
    let mut shown = json!({ "id": id, "node": 1, "state": "running", "healthy": true });
    for (key, value) in state.as_object().unwrap() {
        shown[key] = value.clone();
    }
    (record, shown)
}

fn with(more: &Value, tasks: &[(Value, Value)]) -> Catalogue {
    let (records, states): (Vec<_>, Vec<_>) = tasks.iter().cloned().unzip();
    catalogue(&json!({ "services": [service(more)], "tasks": records, "states": states }))
}

fn shown(catalogue: &Catalogue) -> (String, bool) {
    state(catalogue, catalogue.services.values().next().unwrap())
}

#[test]
fn a_service_says_how_far_it_is() {
    let tasks = [task(1, 1, &json!({})), task(2, 2, &json!({})), task(3, 2, &json!({ "healthy": false }))];
    let rollout = json!({ "rollout": { "deployment": 3, "started_at": "", "waits_for": "1 task to be healthy" } });
    let (text, settled) = shown(&with(&rollout, &tasks));
    assert_eq!((text.as_str(), settled), ("1 of 2 healthy, waits for 1 task to be healthy", false));
    let back = json!({ "rollout": { "deployment": 3, "started_at": "", "failed": "it crashes" } });
    assert_eq!(shown(&with(&back, &tasks)).0, "1 of 2 healthy, going back: it crashes");
    assert_eq!(shown(&with(&json!({}), &tasks)), ("1 healthy".to_owned(), true));
    assert_eq!(shown(&with(&json!({ "stopped": true }), &tasks)), ("stopping 3 tasks".to_owned(), false));
    let gone = [task(1, 1, &json!({ "state": "stopped", "healthy": false, "gone": true }))];
    assert_eq!(shown(&with(&json!({ "stopped": true }), &gone)), ("stopped".to_owned(), true));
}

#[test]
fn a_change_without_a_deployment_ends_when_nothing_is_under_way() {
    let running = [task(1, 2, &json!({}))];
    let gone = [task(1, 2, &json!({ "gone": true }))];
    assert!(is_settled(&with(&json!({}), &running), &scope()));
    assert!(!is_settled(&with(&json!({ "rollout": { "deployment": 0, "started_at": "" } }), &running), &scope()));
    assert!(!is_settled(&with(&json!({ "stopped": true }), &running), &scope()));
    assert!(is_settled(&with(&json!({ "stopped": true }), &gone), &scope()));
    // The record of a removed service goes last.
    assert!(!is_settled(&with(&json!({ "removed": true }), &gone), &scope()));
    let mut orphans = with(&json!({}), &running);
    orphans.services.clear();
    assert!(!is_settled(&orphans, &scope()));
}

#[test]
fn the_exit_status_says_how_a_deployment_failed() {
    let record = |state: &str, unplaced: Option<&str>| -> DeploymentRecord {
        serde_json::from_value(json!({ "id": 7, "stack": "shop", "state": state, "script": "", "files": [],
            "variables": {}, "started_at": "", "finished_at": null, "leader": 1, "term": 1, "unplaced": unplaced,
            "error": "the new version was not healthy within 300 s" }))
        .unwrap()
    };
    let of = |state: &str, unplaced: Option<&str>| failure(&record(state, unplaced), &scope());
    let back = of("rolled_back", None);
    assert_eq!(
        (back.status(), back.message()),
        (ExitStatus::RolledBack, "deployment 7 of `shop` failed; the previous version runs")
    );
    assert_eq!(back.causes(), ["the new version was not healthy within 300 s"]);
    assert_eq!(of("failed", None).status(), ExitStatus::Failed);
    let unplaced = of("rolled_back", Some("node 1 has no memory left"));
    assert_eq!(unplaced.status(), ExitStatus::Unplaced);
    assert_eq!(unplaced.causes()[1], "node 1 has no memory left");
}
