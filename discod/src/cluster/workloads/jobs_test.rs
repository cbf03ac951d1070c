use disco_proto::v1::{DeployService, DeployStack};
use serde_json::{Value, json};

use super::*;
use crate::cluster::workloads::check::{has_jobs, targets};
use crate::cluster::workloads::{requests, versions};

fn draft() -> Draft {
    // 2026-12-01T01:00:00Z.
    let now = Moment { ms: 1_796_086_800_000, text: "2026-12-01T01:00:00Z".to_owned(), leader: 1, term: 1 };
    Draft::new(Workloads::read(&disco_store::Store::new(disco_store::Limits::default())), now)
}

/// A service of a deploy, with these keys of its specification.
fn service(name: &str, copies: u32, more: &Value) -> DeployService {
    let mut spec = json!({
        "driver": "process", "stop_signal": "SIGTERM", "stop_grace_ms": 1,
        "restart": { "condition": "never", "delay_ms": 0 },
        "process": { "program": "app", "files": [{ "path": "app", "sha256": "0", "size": 1, "mode": 493 }] },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let copies = serde_json::to_vec(&Copies::Number(copies)).unwrap();
    let hash = spec.to_string();
    DeployService {
        name: name.to_owned(),
        hash,
        spec: serde_json::to_vec(&spec).unwrap().into(),
        copies: copies.into(),
    }
}

fn stack(services: Vec<DeployService>) -> DeployStack {
    DeployStack { stack: "shop".to_owned(), services }
}

fn refusal(more: &Value, copies: u32) -> String {
    targets(stack(vec![service("backup", copies, more)])).err().expect("it is refused").to_string()
}

#[test]
fn a_job_that_cannot_be_is_refused() {
    assert!(targets(stack(vec![service("backup", 0, &json!({ "job": { "schedule": "@daily" } }))])).is_ok());
    for (more, copies, why) in [
        (json!({ "job": { "schedule": "0 0 3 * * *" } }), 0, "expected five fields"),
        (
            json!({ "job": { "schedule": "@daily", "time_zone": "Europe/Atlantis" } }),
            0,
            "unknown time zone `Europe/Atlantis`",
        ),
        (json!({ "job": {} }), 1, "a job has no copies"),
        (json!({ "job": {}, "restart": { "condition": "any", "delay_ms": 0 } }), 0, "`retries`"),
        (json!({ "job": {}, "singleton": true }), 0, "a job cannot have singleton"),
        (json!({ "job": { "keep": 0 } }), 0, "1 to 100 runs, not 0"),
        (json!({ "job": { "retries": 1000 } }), 0, "at most 100 retries, not 1000"),
        (json!({ "job": { "timeout_ms": 0 } }), 0, "more than 0"),
    ] {
        let refusal = refusal(&more, copies);
        assert!(refusal.starts_with("service `backup`: ") && refusal.contains(why), "{refusal}");
    }
    assert!(has_jobs(stack(vec![service("web", 1, &json!({})), service("backup", 0, &json!({ "job": {} }))])).unwrap());
    assert!(!has_jobs(stack(vec![service("web", 1, &json!({}))])).unwrap());
    let waits = service("web", 1, &json!({ "depends_on": { "backup": "completed" } }));
    let refused = targets(stack(vec![service("backup", 0, &json!({ "job": {} })), waits])).err().unwrap().to_string();
    assert!(refused.contains("`web` depends on `backup`, which is a job"), "{refused}");
}

#[test]
fn a_deploy_says_when_a_job_runs_and_makes_its_record() {
    let mut draft = draft();
    let daily = service("backup", 0, &json!({ "job": { "schedule": "0 3 * * *", "time_zone": "Europe/Berlin" } }));
    let by_hand = service("migrate", 0, &json!({ "job": {} }));
    let services = targets(stack(vec![daily, by_hand])).unwrap();
    let (_, changes) = versions::carry_out(&mut draft, "shop", services, "deploy").unwrap();
    let details: Vec<&str> = changes.iter().map(|change| change.detail.as_str()).collect();
    assert_eq!(
        details,
        [
            "every day at 03:00 (Europe/Berlin), next at 2026-12-01T03:00:00+01:00",
            "a job, which runs by `disco job run JOB`"
        ]
    );
    let names: Vec<&str> = draft.records.jobs.values().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["backup", "migrate"]);
    assert!(draft.records.jobs.values().all(|job| job.ticked == "2026-12-01T01:00:00Z"));

    let refused = requests::scale(&mut draft, "shop", "backup", 2).unwrap_err().to_string();
    assert!(refused.contains("`disco job run shop/backup`"), "{refused}");
    let (deployment, changes) = requests::restart(&mut draft, "shop", "").unwrap();
    assert_eq!(deployment, 0);
    assert!(changes.iter().all(|change| change.change == "unchanged"), "{changes:?}");
}

#[test]
fn a_request_for_what_is_no_job_or_no_run_is_refused() {
    let mut draft = draft();
    let services =
        targets(stack(vec![service("web", 1, &json!({})), service("backup", 0, &json!({ "job": {} }))])).unwrap();
    versions::carry_out(&mut draft, "shop", services, "deploy").unwrap();
    let request = |job: &str| RunJob { stack: "shop".to_owned(), job: job.to_owned(), ..RunJob::default() };
    assert!(matches!(run(&mut draft, &request("web")), Err(Error::Invalid(_))));
    assert!(matches!(run(&mut draft, &request("nothing")), Err(Error::NotFound(_))));
    let large = RunJob { args: vec!["x".repeat(70_000)], ..request("backup") };
    assert!(matches!(run(&mut draft, &large), Err(Error::Invalid(_))));
    let nul = RunJob { args: vec!["a\0b".to_owned()], ..request("backup") };
    assert!(matches!(run(&mut draft, &nul), Err(Error::Invalid(_))));
    let cancelled = CancelJobRun { stack: "shop".to_owned(), job: "backup".to_owned(), run: 1 };
    assert!(matches!(cancel(&mut draft, &cancelled), Err(Error::NotFound(_))));
    assert_eq!(run(&mut draft, &request("backup")).unwrap().number, 1);
    assert_eq!(cancel(&mut draft, &cancelled).unwrap().ending.map(|ending| ending.kind), Some(EndingKind::Cancelled));
}
