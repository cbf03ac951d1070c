//! Runs by request: how they begin, end, are tried again, cancelled and forgotten.

use serde_json::json;

use super::harness::Bed;
use crate::records::Goal;
use crate::records::JobRunState::{Cancelled, Failed, Running, Succeeded, Waiting};

#[test]
fn a_run_that_fails_is_tried_again_with_pauses_and_then_has_failed() {
    let mut bed = Bed::with(2, json!({ "retries": 2 }));
    let number = bed.run().unwrap();
    assert_eq!(number, 1);
    let first = bed.last();
    assert_eq!(bed.cluster.tasks()[0].run.as_ref().unwrap().args, ["--full"]);
    bed.seconds(1);
    bed.end(first.task.unwrap(), 3);
    let run = bed.last();
    assert_eq!((run.state, run.failures, run.reason.as_str()), (Waiting, 1, "try 1 failed: exit code 3"));
    bed.seconds(1);
    assert_eq!(bed.last().state, Running);
    let second = bed.last().task.unwrap();
    assert_ne!(Some(second), first.task);
    bed.seconds(1);
    bed.end(second, 4);
    bed.seconds(1);
    assert_eq!(bed.last().state, Waiting, "two seconds");
    bed.seconds(1);
    let third = bed.last().task.unwrap();
    bed.seconds(1);
    bed.end(third, 5);
    let run = bed.last();
    assert_eq!((run.state, run.failures, run.exit_code), (Failed, 3, Some(5)));
    assert_eq!(run.reason, "exit code 5");
    assert_eq!(bed.events("job.failed"), ["run `shop/backup/1` failed: exit code 5"]);
    assert_eq!(bed.events("job.started").len(), 3);
    // The output of each try can be read.
    assert_eq!(bed.cluster.tasks().len(), 3);
    assert!(bed.running().is_empty());
}

#[test]
fn a_run_beside_another_is_refused_and_a_token_makes_one_run() {
    let mut bed = Bed::with(1, json!({}));
    let request = disco_proto::v1::RunJob {
        stack: "shop".to_owned(),
        job: "backup".to_owned(),
        args: Vec::new(),
        token: "one".to_owned(),
    };
    for _ in 0..2 {
        let run = bed.request(|draft| crate::cluster::workloads::jobs::run(draft, &request)).unwrap();
        assert_eq!(run.number, 1);
    }
    let refused = bed.run().unwrap_err().to_string();
    assert!(
        refused.contains("run 1 of `shop/backup` is not over") && refused.contains("disco job cancel shop/backup/1")
    );
    assert_eq!(bed.runs().len(), 1);
}

#[test]
fn a_run_that_is_cancelled_ends_its_program() {
    let mut bed = Bed::with(1, json!({ "retries": 5 }));
    bed.run().unwrap();
    bed.seconds(1);
    bed.cancel(1);
    let task = &bed.cluster.tasks()[0];
    assert_eq!((task.goal, task.why.as_str(), bed.last().state), (Goal::Stop, "an operator requested it", Running));
    bed.seconds(1);
    let run = bed.last();
    assert_eq!(
        (run.state, run.signal.as_deref(), run.reason.as_str()),
        (Cancelled, Some("SIGTERM"), "an operator requested it")
    );
    assert_eq!(bed.events("job.cancelled").len(), 1);
    bed.cancel(1);
    assert_eq!(bed.last(), run, "a run that is over does not change");
    assert!(bed.events("job.failed").is_empty());
}

#[test]
fn the_time_limit_ends_a_try() {
    let mut bed = Bed::with(1, json!({ "timeout_ms": 60_000, "retries": 1 }));
    bed.run().unwrap();
    bed.seconds(60);
    assert_eq!(bed.last().state, Running);
    // The calendar is set forward: this leader's own clock counts.
    bed.cluster.ms += 3_600_000;
    bed.ahead -= 3_600_000;
    bed.settle();
    assert_eq!((bed.last().state, bed.cluster.tasks()[0].goal), (Running, Goal::Run));
    bed.seconds(2);
    let run = bed.last();
    assert_eq!((run.failures, run.reason.as_str()), (1, "try 1 failed: its time limit of 1m is over"));
    bed.seconds(70);
    let run = bed.last();
    assert_eq!((run.state, run.failures, run.reason.as_str()), (Failed, 2, "its time limit of 1m is over"));
}

#[test]
fn a_run_that_no_node_can_take_waits_says_why_and_fails() {
    let mut bed = Bed::new(2);
    let large = crate::records::ServiceSpec {
        needs: crate::records::ResourceSpec { cpu_millis: 0, memory: 5_000 },
        ..super::harness::job("1", json!({}))
    };
    bed.cluster.deploy("shop", &[("backup", large, 0)]);
    bed.settle();
    bed.run().unwrap();
    let run = bed.last();
    assert_eq!(run.state, Waiting);
    assert!(run.reason.starts_with("no node: n1: ") && run.reason.contains("n2: "), "{}", run.reason);
    bed.seconds(299);
    assert_eq!(bed.last().state, Waiting);
    bed.seconds(2);
    let run = bed.last();
    assert!(run.state == Failed && run.unplaced && run.reason.starts_with("no node within 300 s: "), "{run:?}");
}

#[test]
fn runs_whose_records_are_large_begin_in_parts() {
    let mut bed = Bed::with(2, json!({ "overlap": "allow" }));
    let request = disco_proto::v1::RunJob {
        stack: "shop".to_owned(),
        job: "backup".to_owned(),
        args: vec!["x".repeat(64 << 10)],
        token: String::new(),
    };
    for _ in 0..16 {
        bed.cluster.request(|draft| crate::cluster::workloads::jobs::run(draft, &request)).unwrap();
    }
    assert!(bed.pass());
    let begun = bed.running().len();
    assert!((1..16).contains(&begun), "{begun} of 16 begin in the first transaction");
    bed.settle();
    assert_eq!(bed.running().len(), 16);
    assert!(bed.states().iter().all(|(_, state)| *state == Running));
}

#[test]
fn one_run_takes_the_place_of_many_in_bounded_parts() {
    let mut bed = Bed::with(4, json!({ "overlap": "allow", "keep": 100 }));
    for _ in 0..60 {
        bed.run().unwrap();
    }
    bed.act();
    bed.deploy("2", json!({ "overlap": "replace", "keep": 100 }));
    bed.seconds(10);
    assert_eq!(bed.running().len(), 60, "a new version leaves runs alone");
    // Each pass asserts that its changes fit into one transaction.
    assert_eq!(bed.run().unwrap(), 61);
    assert_eq!(bed.last().state, Waiting);
    assert!(bed.running().iter().all(|(task, _)| bed.cluster.records().tasks.get(task).unwrap().goal == Goal::Stop));
    bed.seconds(2);
    let (ended, last): (Vec<_>, Vec<_>) = bed.states().into_iter().partition(|(number, _)| *number <= 60);
    assert!(ended.len() == 60 && ended.iter().all(|(_, state)| *state == Cancelled), "{ended:?}");
    assert_eq!(last, [(61, Running)]);
    assert!(bed.runs()[..60].iter().all(|run| run.reason == "a later run takes its place"));
}

#[test]
fn finished_runs_are_bounded_with_their_tasks() {
    let mut bed = Bed::with(2, json!({ "keep": 3 }));
    for _ in 0..6 {
        bed.run().unwrap();
        bed.seconds(1);
        bed.end(bed.last().task.unwrap(), 0);
        bed.seconds(1);
    }
    assert_eq!(bed.states(), [(4, Succeeded), (5, Succeeded), (6, Succeeded)]);
    assert_eq!(bed.cluster.tasks().len(), 3);
    assert_eq!(bed.cluster.records().states.iter().count(), 3);
    assert_eq!(bed.job().runs, 6);
    // Older ones go after a month, the last stays.
    bed.cluster.ms += 40 * 86_400_000;
    bed.run().unwrap();
    bed.settle();
    assert_eq!(bed.states(), [(6, Succeeded), (7, Running)]);
}

#[test]
fn a_job_that_is_stopped_retains_as_many_runs_as_before() {
    let mut bed = Bed::with(1, json!({ "keep": 20 }));
    for _ in 0..15 {
        bed.run().unwrap();
        bed.seconds(1);
        bed.end(bed.last().task.unwrap(), 0);
    }
    bed.request(|draft| crate::cluster::workloads::requests::stop(draft, "shop", "backup")).unwrap();
    bed.seconds(5);
    assert_eq!((bed.runs().len(), bed.cluster.tasks().len()), (15, 15));
}

#[test]
fn a_new_version_leaves_runs_alone_and_a_version_that_runs_is_kept() {
    let mut bed = Bed::with(1, json!({ "overlap": "allow" }));
    bed.run().unwrap();
    bed.seconds(1);
    bed.deploy("2", json!({ "overlap": "allow" }));
    bed.seconds(10);
    bed.run().unwrap();
    bed.seconds(1);
    assert_eq!(bed.states(), [(1, Running), (2, Running)]);
    let groups: Vec<u64> = bed.runs().iter().map(|run| run.group).collect();
    assert!(groups[0] < groups[1] && bed.cluster.records().groups.get(&groups[0]).is_some());
    let service = bed.cluster.service("shop", "backup").unwrap();
    assert!(service.rollout.is_none() && service.settled.is_some_and(|settled| settled.group == groups[1]));
    assert!(bed.events("task.failed").is_empty());
}

#[test]
fn a_job_that_becomes_a_service_ends_its_runs_and_back() {
    let mut bed = Bed::with(1, json!({ "schedule": "0 3 * * *" }));
    bed.run().unwrap();
    bed.seconds(1);
    bed.cluster.deploy("shop", &[("backup", crate::controllers::workloads::specs::good("2"), 1)]);
    bed.seconds(5);
    assert_eq!(bed.last().reason, "the service is no job any more");
    assert_eq!((bed.states(), bed.job().next), (vec![(1, Cancelled)], None));
    let copies: Vec<bool> = bed.cluster.tasks().iter().filter(|task| task.run.is_none()).map(|_| true).collect();
    assert_eq!(copies.len(), 1);
    bed.deploy("3", json!({ "schedule": "0 4 * * *" }));
    bed.seconds(10);
    assert_eq!(bed.job().next.as_deref(), Some("2026-12-01T04:00:00Z"));
    assert!(bed.running().is_empty(), "{}", bed.cluster.describe());
}
