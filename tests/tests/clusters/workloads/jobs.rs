//! Jobs: runs by request and by schedules, on whole clusters.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use disco_tests::{Permit, Running, SOON, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::{Bed, array};

/// More than a minute: the time of a schedule that is due each minute.
const MINUTE: Duration = Duration::from_secs(90);

/// The program of all jobs: it says what it is given, then does what its first argument says.
const PROGRAM: &str = r#"#!/bin/sh
echo "run $DISCO_RUN at ${DISCO_SCHEDULED:-no time}: $*"
echo "a complaint" >&2
case "$1" in
  exit) exit "$2" ;;
  kill) kill -KILL $$ ;;
  wait) trap 'echo "asked to end"; exit 0' TERM; sleep 3607 & wait $! ;;
  stubborn) trap '' TERM; while :; do sleep 3607; done ;;
  until) while [ ! -e "$2" ]; do sleep 0.2; done; echo "found" ;;
esac
"#;

/// Deploys jobs: names, and the content of `x-disco.job`. Returns what the command says.
#[track_caller]
fn deploy(bed: &Bed, jobs: &[(&str, &str)]) -> String {
    let program = bed.project.path("bin/sample-job");
    bed.project.write("bin/sample-job", PROGRAM);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut text = "name: shop\nservices:\n".to_owned();
    for (name, job) in jobs {
        let process = "{path: ./bin/sample-job}";
        write!(text, "  {name}:\n    stop_grace_period: 1s\n    x-disco: {{process: {process}, job: {{{job}}}}}\n")
            .unwrap();
    }
    bed.project.write("stack.yml", &text);
    bed.project.disco(&["deploy"]).ok().stderr
}

#[track_caller]
fn show(bed: &Bed, job: &str) -> Value {
    bed.project.disco(&["job", "show", job, "-o", "json"]).ok().json()
}

#[track_caller]
fn last_run(bed: &Bed, job: &str) -> Value {
    show(bed, job)["runs"].as_array().and_then(|runs| runs.last().cloned()).unwrap_or_default()
}

/// No process of a task is left, nor of what it has started.
#[track_caller]
fn no_process_is_left(bed: &Bed) {
    wait_for(SOON, "the end of all processes", || {
        let all = bed.cluster.processes().into_iter().filter(|process| process.command.contains("sleep 3607"));
        let mut left: Vec<String> = all.map(|process| format!("{} {}", process.pid, process.command)).collect();
        left.extend(bed.task_processes());
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    });
}

/// Starts a run, and waits for its first line.
#[track_caller]
fn started(bed: &Bed, args: &[&str]) -> Running {
    let mut running = bed.project.start(&[&["job", "run", "shop/backup", "--"], args].concat());
    running.wait_for_stdout(SOON, "run ");
    running
}

#[test]
fn a_run_passes_on_output_arguments_and_exit_code() {
    let bed = Bed::new();
    let printed = deploy(&bed, &[("backup", ""), ("nightly", "schedule: \"30 2 * * *\", time_zone: Europe/Berlin")]);
    assert!(printed.contains("job `shop/nightly`: every day at 02:30 (Europe/Berlin), next at 2"), "{printed}");
    assert!(printed.contains("job `shop/backup`: a job, which runs by `disco job run JOB`"), "{printed}");

    let run = bed.project.disco(&["job", "run", "backup", "--", "exit", "3", "two words"]).expect(3);
    assert_eq!(run.stdout, "run 1 at no time: exit 3 two words\n");
    assert!(run.stderr.contains("a complaint\n") && run.stderr.contains("exit code 3"), "{run}");
    assert_eq!(bed.project.disco(&["job", "run", "shop/backup"]).ok().stdout, "run 2 at no time: \n");
    bed.project.disco(&["job", "run", "backup", "--", "kill"]).expect(128 + 9).says(&["SIGKILL"]);
    let json = bed.project.disco(&["job", "run", "backup", "-o", "json", "--", "exit", "4"]).expect(4);
    let document = json.json();
    assert_eq!((&document["id"], &document["exit_code"]), (&json!("shop/backup/4"), &json!(4)), "{json}");
    assert!(json.stderr.contains("run 4 at no time: exit 4\n"), "{json}");

    let jobs = array(&bed.project.disco(&["job", "ls", "-o", "json"]).ok());
    let names: Vec<&str> = jobs.iter().filter_map(|job| job["name"].as_str()).collect();
    assert_eq!(names, ["backup", "nightly"]);
    let keys: Vec<&String> = jobs[0].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["name", "stack", "schedule", "last", "next", "running"]);
    assert_eq!((&jobs[0]["next"], &jobs[1]["last"], &jobs[1]["running"]), (&Value::Null, &Value::Null, &json!(0)));
    assert!(jobs[0]["last"].is_string() && jobs[1]["next"].as_str().is_some_and(|next| next.contains(":30:00")));

    let runs = show(&bed, "backup")["runs"].clone();
    let ends: Vec<(&Value, &Value)> =
        runs.as_array().expect("a list").iter().map(|run| (&run["state"], &run["exit_code"])).collect();
    let expected = [("failed", json!(3)), ("succeeded", json!(0)), ("failed", Value::Null), ("failed", json!(4))];
    let expected = expected.map(|(state, code)| (json!(state), code));
    assert_eq!(ends, expected.iter().map(|(state, code)| (state, code)).collect::<Vec<_>>());
    let logs = bed.project.disco(&["logs", "shop/backup/1"]).ok().stdout;
    assert!(logs.contains("run 1 at no time: exit 3 two words") && logs.contains("a complaint"), "{logs}");

    // Runs that are over are no tasks of the stack any more, unless one asks for them.
    assert_eq!(bed.ps(), Vec::<Value>::new());
    assert_eq!(array(&bed.project.disco(&["ps", "shop/backup", "-o", "json"]).ok()).len(), 4);
    assert_eq!(bed.project.disco(&["services", "-o", "json"]).ok().stdout, "[]\n");
    bed.project.disco(&["job", "run", "nothing"]).expect(6).says(&["no job `nothing`", "`shop/backup`"]);
    bed.project.disco(&["scale", "backup=2"]).expect(5).says(&["job run shop/backup"]);
    let events = bed.project.disco(&["events", "-o", "json"]).ok().json();
    let kinds: Vec<&str> =
        events.as_array().expect("a list").iter().filter_map(|event| event["kind"].as_str()).collect();
    for (kind, count) in [("job.started", 4), ("job.succeeded", 1), ("job.failed", 3)] {
        assert_eq!(kinds.iter().filter(|found| **found == kind).count(), count, "{kind}: {events:#}");
    }
}

#[test]
fn an_interrupt_cancels_a_run_and_leaves_no_process() {
    let bed = Bed::new();
    deploy(&bed, &[("backup", "")]);
    let polite = started(&bed, &["wait"]);
    bed.project.disco(&["job", "run", "backup"]).expect(5).says(&["run 1 of `shop/backup` is not over", "job cancel"]);
    polite.signal(Signal::INT);
    let ended = polite.wait(SOON).expect(8).says(&["cancelling run `shop/backup/1`", "was cancelled"]);
    assert!(ended.stdout.ends_with("asked to end\n"), "{ended}");
    assert_eq!(last_run(&bed, "backup")["state"], "cancelled");
    no_process_is_left(&bed);

    // A program that does not obey is killed after its grace time.
    let stubborn = started(&bed, &["stubborn"]);
    stubborn.signal(Signal::INT);
    stubborn.wait(SOON).expect(8);
    assert_eq!(last_run(&bed, "backup")["signal"], "SIGKILL");
    no_process_is_left(&bed);

    // Without the command that started it.
    let id = bed.project.disco(&["job", "run", "backup", "--detach", "-o", "name", "--", "wait"]).ok().stdout;
    assert_eq!(id, "shop/backup/3\n");
    bed.project.disco(&["job", "cancel", "shop/backup/3"]).ok();
    assert_eq!(last_run(&bed, "backup")["state"], "cancelled");
    bed.project.disco(&["job", "cancel", "backup/3"]).ok().says(&["is over"]);
    bed.project.disco(&["job", "cancel", "backup/77"]).expect(6);
    bed.project.disco(&["job", "run", "backup", "--timeout", "2s", "--", "wait"]).expect(9).says(&["job show"]);
    assert_eq!(last_run(&bed, "backup")["state"], "running");
    bed.project.disco(&["rm", "shop", "-y"]).ok();
    no_process_is_left(&bed);
}

#[test]
fn a_run_is_followed_through_the_death_of_the_leader_and_waits_out_a_drain() {
    let mut bed = Bed::new();
    deploy(&bed, &[("backup", "")]);
    let signal = bed.cluster.folder().join("go-on");
    let path = signal.to_string_lossy().into_owned();
    let running = started(&bed, &["until", &path]);
    let leader = usize::try_from(bed.leader()).expect("a small number") - 1;
    bed.cluster.nodes[leader].kill();
    bed.leader();
    bed.cluster.nodes[leader].start();
    bed.cluster.wait_for_members(3);
    let node = last_run(&bed, "backup")["node_name"].as_str().expect("its node").to_owned();
    let draining = bed.project.start(&["drain", &node]);
    wait_for(SOON, "the drain", || {
        let nodes = bed.project.disco(&["nodes", "-o", "json"]).ok().json();
        let drained = nodes.as_array().expect("a list").iter().any(|node| node["drained"] == true);
        if drained { Ok(()) } else { Err(nodes.to_string()) }
    });
    assert_eq!(last_run(&bed, "backup")["state"], "running");
    fs::write(&signal, "").unwrap();
    let ended = running.wait(SOON).ok();
    assert!(ended.stdout.ends_with("found\n"), "{ended}");
    draining.wait(SOON).ok();
    let runs = show(&bed, "backup")["runs"].clone();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs:#}");
}

#[test]
fn a_failed_run_is_tried_again_and_a_time_limit_ends_it() {
    let bed = Bed::new();
    deploy(&bed, &[("backup", "retries: 1, timeout: 2s")]);
    let run = bed.project.disco(&["job", "run", "backup", "--", "exit", "7"]).expect(7).says(&["after 2 tries"]);
    assert_eq!(run.stdout, "run 1 at no time: exit 7\n".repeat(2));
    let limited = bed.project.disco(&["job", "run", "backup", "--", "stubborn"]);
    let limited = limited.expect(128 + 9).says(&["its time limit of 2s is over"]);
    assert_eq!(limited.stdout, "run 2 at no time: stubborn\n".repeat(2));
    no_process_is_left(&bed);
}

#[test]
fn a_time_of_a_schedule_begins_one_run_though_the_leader_dies() {
    let _permit = Permit::first();
    let mut bed = Bed::new();
    deploy(&bed, &[("backup", "schedule: \"* * * * *\", overlap: allow, retries: 1")]);
    let next = show(&bed, "backup")["next"].as_str().expect("a time").to_owned();
    let leader = usize::try_from(bed.leader()).expect("a small number") - 1;
    wait_for(MINUTE, "the time of the schedule", || {
        let run = last_run(&bed, "backup");
        if run["scheduled"] == next.as_str() { Ok(()) } else { Err(format!("next {next}: {run}")) }
    });
    bed.cluster.nodes[leader].kill();
    bed.leader();
    bed.cluster.nodes[leader].start();
    wait_for(SOON, "the end of the run", || {
        let run = last_run(&bed, "backup");
        if run["state"] == "succeeded" { Ok(()) } else { Err(run.to_string()) }
    });
    let runs = show(&bed, "backup")["runs"].clone();
    let of_time = runs.as_array().expect("a list").iter().filter(|run| run["scheduled"] == next.as_str());
    assert_eq!(of_time.count(), 1, "{runs:#}");
    let logs = bed.project.disco(&["logs", "shop/backup/1"]).ok();
    assert!(logs.stdout.contains(&format!("run 1 at {next}: ")), "{logs}");
    bed.project.disco(&["stop", "shop/backup"]).ok();
    assert_eq!(show(&bed, "backup")["next"], Value::Null);
}
