//! The first deployment, the same again, and what the commands show.

use std::time::Duration;

use disco_tests::{Binaries, Permit, SOON, wait_for};
use serde_json::json;

use super::support::{Bed, STACK, Stack, address, array, get, post, running};

#[test]
fn a_first_deployment_is_fast_and_the_same_again_changes_nothing() {
    let _permit = Permit::alone();
    let bed = Bed::new();
    let first = bed.deploy(&Stack::new("v1")).ok();
    println!("the first deployment took {:.2} s", first.took.as_secs_f64());
    let limit = Duration::from_secs(if Binaries::optimised() { 5 } else { 20 });
    assert!(first.took < limit, "{first}");
    let answer = first.json();
    assert_eq!((&answer["stack"], &answer["state"]), (&json!(STACK), &json!("succeeded")), "{answer}");
    assert!(answer["deployment"].as_u64() > Some(0), "{answer}");

    let before = bed.ps();
    assert_eq!((running(&before, "web").len(), running(&before, "store").len()), (3, 1), "{before:#?}");
    let again = bed.deploy(&Stack::new("v1")).ok().says(&["nothing to change"]).json();
    assert_eq!((&again["deployment"], &again["state"]), (&answer["deployment"], &json!("succeeded")), "{again}");
    bed.wait_for_same_ps(&before);
    assert_eq!(array(&bed.project.disco(&["deployments", "-o", "json"]).ok()).len(), 1);

    // Another number of copies restarts none.
    bed.deploy(&Stack { copies: 4, ..Stack::new("v1") }).ok();
    let after = bed.web();
    assert_eq!(after.len(), 4);
    assert!(running(&before, "web").iter().all(|(id, pid)| after.get(id) == Some(pid)), "{after:?}");
}

#[test]
fn what_runs_is_shown_with_stable_shapes() {
    let bed = Bed::deployed();
    let tasks = bed.ps();
    assert_eq!(tasks.len(), 4, "{tasks:#?}");
    let web: Vec<_> = tasks.iter().filter(|task| task["service"] == "web").collect();
    let nodes: std::collections::BTreeSet<_> = web.iter().map(|task| task["node"].as_u64()).collect();
    assert_eq!(nodes.len(), 3, "copies are spread over the nodes: {web:#?}");
    for (at, task) in web.iter().enumerate() {
        assert_eq!((&task["stack"], &task["driver"]), (&json!(STACK), &json!("process")), "{task}");
        assert_eq!((&task["state"], &task["healthy"]), (&json!("running"), &json!(true)), "{task}");
        assert_eq!((&task["index"], &task["restarts"], &task["exit_code"]), (&json!(at + 1), &json!(0), &json!(null)));
        assert!(task["pid"].as_u64() > Some(1) && task["started_at"].as_str().is_some(), "{task}");
        assert_eq!(task["deployment"], 1, "{task}");
    }

    let service = bed.service("web");
    for (field, value) in [("stack", json!(STACK)), ("driver", json!("process")), ("address", json!(null))] {
        assert_eq!(service[field], value, "{service:#}");
    }
    for count in ["desired", "running", "healthy"] {
        assert_eq!(service[count], 3, "{count}: {service:#}");
    }
    assert_eq!(service["ports"], json!([{ "published": null, "target": 80, "proto": "tcp", "mode": "ingress" }]));
    let endpoints = service["endpoints"].as_array().expect("a list");
    assert_eq!(endpoints.len(), 3, "{service:#}");
    for endpoint in endpoints {
        let answer = get(&address(endpoint), "/").expect("an endpoint answers");
        assert!(answer.contains(&format!("task {} ", endpoint["task"])), "{answer}: {endpoint}");
        assert_eq!(
            (&endpoint["proto"], &endpoint["healthy"], &endpoint["draining"]),
            (&json!("tcp"), &json!(true), &json!(false))
        );
    }

    let deployments = array(&bed.project.disco(&["deployments", "-o", "json"]).ok());
    let deployment = &deployments[0];
    assert_eq!((&deployment["id"], &deployment["stack"]), (&json!(1), &json!(STACK)), "{deployment}");
    assert_eq!((&deployment["state"], &deployment["error"]), (&json!("succeeded"), &json!(null)), "{deployment}");
    assert!(deployment["started_at"].is_string() && deployment["finished_at"].is_string(), "{deployment}");

    // Names that other commands take.
    let names = bed.project.disco(&["services", "-o", "name"]).ok().stdout;
    assert_eq!(names, "shop/store\nshop/web\n");
    for target in names.lines().chain(["shop", "web", "web/1"]) {
        assert!(!array(&bed.project.disco(&["ps", target, "-o", "json"]).ok()).is_empty(), "{target}");
    }
    bed.project.disco(&["ps", "gone"]).expect(6).says(&["no stack, service or task `gone`", "`shop/web`"]);
}

#[test]
fn output_of_tasks_is_read_merged_and_followed() {
    let bed = Bed::deployed();
    // A task may be healthy before its first line is kept.
    let lines = wait_for(SOON, "one line of each copy", || {
        let output = bed.project.disco(&["logs", "shop/web", "-o", "jsonl"]).ok();
        let lines = output.jsonl();
        if lines.len() == 3 { Ok(lines) } else { Err(output) }
    });
    for line in &lines {
        assert!(line["text"].as_str().is_some_and(|text| text.starts_with("web v1 listens at ")), "{line}");
        assert_eq!((&line["service"], &line["stream"]), (&json!("web"), &json!("stdout")), "{line}");
    }
    assert_eq!(bed.project.disco(&["logs", "shop", "-n", "2"]).ok().stdout.lines().count(), 2);
    let task = bed.web().into_keys().next().expect("a task").to_string();
    assert_eq!(bed.project.disco(&["logs", &task, "-o", "name"]).ok().stdout.lines().count(), 1);

    let mut followed = bed.project.start(&["logs", "-f", "-n", "0", "web", "-o", "name"]);
    let endpoints = bed.service("web")["endpoints"].as_array().expect("a list").clone();
    // What is written before the command has connected is not among the last 0 lines.
    wait_for(SOON, "a followed line", || {
        post(&address(&endpoints[0]), "/log", "followed")?;
        if followed.stdout().contains("followed\n") { Ok(()) } else { Err(followed.stderr()) }
    });
    assert!(!followed.stdout().contains("listens at"), "{}", followed.stdout());
    // Also lines of tasks that begin later.
    bed.deploy(&Stack::new("v2")).ok();
    followed.wait_for_stdout(SOON, "web v2 listens at");

    let none = bed.project.disco(&["logs", "web", "--since", "2099-01-01T00:00:00Z"]).ok();
    assert_eq!(none.stdout, "");
    bed.project.disco(&["logs", "shop/gone"]).expect(6);
}

#[test]
fn a_dry_run_changes_nothing_and_names_what_it_would() {
    let bed = Bed::deployed();
    let before = bed.ps();
    Stack { copies: 2, ..Stack::new("v2") }.write(&bed.project);
    bed.project.disco(&["deploy", "--dry-run"]).ok().says(&["would update `shop/web`"]);
    bed.project.disco(&["scale", "web=5", "--dry-run"]).ok().says(&["would scale `shop/web`"]);
    bed.project.disco(&["restart", "web", "--dry-run"]).ok().says(&["would restart `shop/web`"]);
    bed.project.disco(&["rm", "shop", "--dry-run"]).ok().says(&["would remove `shop/web`"]);
    bed.project.disco(&["drain", "raw-1", "--dry-run"]).ok().says(&["would move"]);
    bed.wait_for_same_ps(&before);
}
