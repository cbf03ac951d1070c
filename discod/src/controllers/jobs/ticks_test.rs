//! Times of schedules become runs, once each, whatever leader and whatever clock.

use serde_json::json;

use super::harness::{BEGIN, Bed};
use crate::records::JobRunState::{Cancelled, Running, Succeeded};
use crate::records::Records;

const MINUTELY: &str = "* * * * *";

#[test]
fn a_time_of_the_schedule_begins_one_run_with_its_task() {
    let mut bed = Bed::with(3, json!({ "schedule": "30 2 * * *", "time_zone": "Europe/Berlin" }));
    let job = bed.job();
    assert_eq!(
        (job.schedule.as_str(), job.next.as_deref()),
        ("30 2 * * * Europe/Berlin", Some("2026-12-01T01:30:00Z"))
    );
    bed.seconds(29 * 60 + 59);
    assert!(bed.runs().is_empty(), "it is not yet due");
    bed.cluster.ms = BEGIN + 30 * 60 * 1_000;
    assert!(bed.pass(), "one transaction");
    let run = bed.last();
    assert_eq!((run.number, run.scheduled.as_deref(), run.state), (1, Some("2026-12-01T01:30:00Z"), Running));
    let tasks = bed.cluster.tasks();
    assert_eq!((tasks.len(), tasks[0].index, Some(tasks[0].id)), (1, 1, run.task));
    assert_eq!(tasks[0].run.as_ref().and_then(|run| run.scheduled.as_deref()), Some("2026-12-01T01:30:00Z"));
    assert!(!bed.pass(), "and nothing more");
    let job = bed.job();
    assert_eq!((job.ticked.as_str(), job.next.as_deref()), ("2026-12-01T01:30:00Z", Some("2026-12-02T01:30:00Z")));
    bed.seconds(5);
    bed.end(run.task.unwrap(), 0);
    let run = bed.last();
    assert_eq!((run.state, run.exit_code, run.reason.as_str()), (Succeeded, Some(0), ""));
    assert!(run.started_at.is_some() && run.finished_at.is_some());
    assert_eq!(bed.events("job.started"), ["run `shop/backup/1` starts on n1"]);
    assert_eq!(bed.events("job.succeeded"), ["run `shop/backup/1` succeeded"]);
}

#[test]
fn a_leader_that_was_cut_off_makes_no_second_run() {
    let mut bed = Bed::with(3, json!({ "schedule": MINUTELY }));
    bed.cluster.ms = BEGIN + 60_000;
    // What it has planned before the next leader has decided the same time.
    let records = bed.cluster.records();
    let seen = bed.cluster.seen(&records);
    let planned = super::plan::plan(&records, &seen, &super::ages::Ages::default(), super::plan::MOST_STEPS);
    let stale = planned.draft.records.changes_since(&records);
    assert!(bed.pass());
    let written = crate::cluster::workloads::write::commit_one(&bed.cluster.store, stale, planned.draft.news);
    let written = futures_util::FutureExt::now_or_never(written).unwrap().unwrap();
    assert!(!written, "the record of the job has changed meanwhile");
    assert_eq!((bed.runs().len(), bed.cluster.tasks().len()), (1, 1));
}

#[test]
fn after_a_time_without_a_leader_one_run_catches_up() {
    let mut bed = Bed::with(3, json!({ "schedule": MINUTELY }));
    bed.cluster.ms += 3 * 3_600_000 + 90_000;
    bed.settle();
    let runs = bed.runs();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].scheduled.as_deref(), Some("2026-12-01T04:01:00Z"));
    let skipped = bed.events("job.skipped");
    assert!(skipped[0].contains("`shop/backup` begins for 180 times until "), "{skipped:?}");
    let mut none = Bed::with(3, json!({ "schedule": "0 * * * *", "no_catch_up": true }));
    none.cluster.ms += 3 * 3_600_000 + 90_000;
    none.settle();
    assert!(none.runs().is_empty());
    assert_eq!(none.job().skipped.map(|skipped| skipped.count), Some(3));
}

#[test]
fn a_time_beside_a_run_is_skipped_unless_the_job_says_otherwise() {
    let mut bed = Bed::with(3, json!({ "schedule": MINUTELY }));
    bed.seconds(245);
    assert_eq!(bed.states(), [(1, Running)]);
    let skipped = bed.job().skipped.unwrap();
    assert_eq!((skipped.count, skipped.reason.as_str()), (3, "run 1 is not over"));
    assert_eq!(bed.events("job.skipped").len(), 1, "not an event each minute");
    bed.end(bed.last().task.unwrap(), 0);
    bed.seconds(60);
    assert_eq!(bed.states(), [(1, Succeeded), (2, Running)]);
    assert_eq!(bed.job().skipped, None);

    let mut bed = Bed::with(3, json!({ "schedule": MINUTELY, "overlap": "allow" }));
    bed.seconds(185);
    assert_eq!(bed.states(), [(1, Running), (2, Running), (3, Running)]);
    let nodes: Vec<u64> = bed.running().into_iter().map(|(_, node)| node).collect();
    assert_eq!(nodes, [1, 2, 3], "runs are spread as copies are");

    let mut bed = Bed::with(3, json!({ "schedule": MINUTELY, "overlap": "replace" }));
    bed.seconds(60);
    assert_eq!(bed.states(), [(1, Running)]);
    bed.cluster.ms += 60_000;
    bed.settle();
    assert_eq!(bed.runs()[1].task, None, "the one before has not ended yet");
    bed.seconds(2);
    assert_eq!(bed.states(), [(1, Cancelled), (2, Running)]);
    assert_eq!(bed.runs()[0].reason, "a later run takes its place");
    assert_eq!(bed.running().len(), 1);
}

#[test]
fn a_clock_that_jumps_repeats_nothing_and_stops_nothing() {
    let mut bed = Bed::with(1, json!({ "schedule": "0 * * * *", "overlap": "allow", "keep": 50 }));
    let times = |bed: &Bed| -> Vec<String> {
        bed.runs().iter().map(|run| run.scheduled.clone().unwrap_or_default()[11..16].to_owned()).collect()
    };
    bed.cluster.ms = BEGIN + 3_600_000;
    bed.settle();
    // Back by half an hour, and on.
    bed.cluster.ms -= 1_800_000;
    bed.settle();
    bed.cluster.ms = BEGIN + 3_600_000 + 1_000;
    bed.settle();
    assert_eq!(times(&bed), ["02:00"]);
    // Forward by two days: one run. Back again: the schedule begins anew.
    bed.cluster.ms += 2 * 86_400_000;
    bed.settle();
    assert_eq!(bed.runs().len(), 2);
    bed.cluster.ms = BEGIN + 3_600_000 + 2_000;
    bed.settle();
    assert_eq!(bed.job().next.as_deref(), Some("2026-12-01T03:00:00Z"));
    bed.cluster.ms = BEGIN + 2 * 3_600_000;
    bed.settle();
    assert_eq!(times(&bed), ["02:00", "02:00", "03:00"]);
}

#[test]
fn another_schedule_counts_from_its_deployment_on() {
    let mut bed = Bed::with(1, json!({ "schedule": "0 3 * * *" }));
    bed.deploy("2", json!({ "schedule": "0 0 * * *" }));
    assert!(bed.runs().is_empty(), "midnight was before it");
    assert_eq!(bed.job().next.as_deref(), Some("2026-12-02T00:00:00Z"));
    bed.deploy("3", json!({}));
    assert_eq!((bed.job().schedule.as_str(), bed.job().next), ("", None));
}

#[test]
fn a_job_that_is_stopped_or_removed_runs_no_more() {
    let mut bed = Bed::with(1, json!({ "schedule": MINUTELY }));
    bed.seconds(62);
    bed.request(|draft| crate::cluster::workloads::requests::stop(draft, "shop", "backup")).unwrap();
    bed.seconds(200);
    assert_eq!((bed.states(), bed.job().next), (vec![(1, Cancelled)], None));
    assert_eq!(bed.last().reason, "the job was stopped");
    let refused = bed.run().unwrap_err().to_string();
    assert!(refused.contains("`disco restart shop/backup`"), "{refused}");
    bed.request(|draft| crate::cluster::workloads::requests::restart(draft, "shop", "backup")).unwrap();
    assert_eq!(bed.runs().len(), 1, "what it missed while it was stopped was not to be");
    bed.seconds(62);
    assert_eq!(bed.states(), [(1, Cancelled), (2, Running)]);
    bed.request(|draft| crate::cluster::workloads::requests::remove(draft, "shop")).unwrap();
    bed.seconds(3);
    assert!(bed.cluster.tasks().is_empty() && bed.runs().is_empty());
    let left =
        bed.cluster.store.read(|store| store.range(&disco_store::prefix_range("/disco/jobs/")).unwrap().kvs.len());
    assert_eq!(left, 0);
    bed.seconds(120);
    assert!(bed.runs().is_empty());
}
