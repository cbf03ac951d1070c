//! Nodes that are lost, drained, removed, or cannot begin with a run.

use serde_json::json;

use super::harness::Bed;
use crate::controllers::workloads::harness::Fault;
use crate::records::JobRunState::{Failed, Running, Succeeded, Waiting};
use crate::records::{Goal, NodeRecord, keys};

#[test]
fn a_run_on_a_lost_node_is_tried_elsewhere_and_never_twice_before() {
    let mut bed = Bed::with(2, json!({ "retries": 1 }));
    bed.run().unwrap();
    bed.seconds(1);
    let (first, node) = bed.running()[0];
    bed.cluster.cut(node, Fault::CutOff);
    bed.seconds(4);
    assert_eq!((bed.last().state, bed.last().failures), (Running, 0), "a silent node is no lost one");
    bed.seconds(3);
    let run = bed.last();
    assert_eq!((run.state, run.failures), (Running, 1));
    let (second, other) = *bed.running().last().unwrap();
    assert!(second != first && other != node, "{:?}", bed.running());
    let old = bed.cluster.records().tasks.get(&first).cloned().unwrap();
    assert_eq!((old.goal, old.why.as_str()), (Goal::Stop, "its node n1 is lost"));
    // When it returns, it ends what runs there, and that is no end of the run.
    bed.cluster.mend(node);
    bed.seconds(2);
    assert_eq!((bed.last().state, bed.running()), (Running, vec![(second, other)]));
    bed.end(second, 0);
    assert_eq!(bed.last().state, Succeeded);
}

#[test]
fn without_retries_a_lost_node_is_a_failure() {
    let mut bed = Bed::with(2, json!({}));
    bed.run().unwrap();
    bed.seconds(1);
    bed.cluster.cut(1, Fault::Dead);
    bed.seconds(8);
    let run = bed.last();
    assert_eq!((run.state, run.reason.as_str(), run.exit_code), (Failed, "its node n1 is lost", None));
    assert_eq!(bed.runs().len(), 1);
}

#[test]
fn a_run_on_a_drained_node_goes_on_and_the_next_one_is_elsewhere() {
    let mut bed = Bed::with(2, json!({ "overlap": "allow" }));
    bed.run().unwrap();
    bed.seconds(1);
    let (task, node) = bed.running()[0];
    let record: NodeRecord = bed.cluster.store.get(&keys::node(node)).unwrap();
    bed.cluster.store.put(&keys::node(node), &NodeRecord { drained: true, ..record });
    bed.seconds(5);
    assert_eq!(bed.running(), [(task, node)]);
    bed.run().unwrap();
    let (_, other) = *bed.running().last().unwrap();
    assert_ne!(other, node);
}

#[test]
fn a_run_on_a_removed_node_has_failed() {
    let mut bed = Bed::with(2, json!({}));
    bed.run().unwrap();
    bed.seconds(1);
    bed.cluster.remove_node(1);
    bed.seconds(1);
    let run = bed.last();
    assert_eq!(run.state, Failed);
    assert!(run.reason.ends_with("was removed"), "{}", run.reason);
}

#[test]
fn a_try_that_never_starts_has_failed_and_later_times_begin_runs() {
    let mut bed = Bed::with(1, json!({ "schedule": "0 * * * *" }));
    bed.lacks = Some("cannot get its secrets: n1 did not answer".to_owned());
    bed.run().unwrap();
    bed.seconds(899);
    assert_eq!((bed.last().state, bed.cluster.tasks()[0].goal), (Running, Goal::Run));
    bed.seconds(1);
    assert_eq!((bed.last().state, bed.cluster.tasks()[0].goal), (Running, Goal::Stop));
    bed.seconds(1);
    let run = bed.last();
    assert_eq!((run.state, run.failures, run.started_at), (Failed, 1, None));
    assert_eq!(run.reason, "it did not start within 15m: cannot get its secrets: n1 did not answer");
    bed.lacks = None;
    bed.seconds(2_700);
    assert_eq!(bed.states(), [(1, Failed), (2, Running)]);
    bed.seconds(1_200);
    assert_eq!((bed.last().number, bed.last().state), (2, Running), "a program that runs has no such limit");
}

#[test]
fn a_node_that_cannot_begin_with_a_run_is_no_failure_of_it() {
    let mut bed = Bed::with(2, json!({}));
    bed.run().unwrap();
    let (first, node) = bed.running()[0];
    bed.refuse(first);
    let run = bed.last();
    assert_eq!((run.state, run.failures, run.refusals), (Waiting, 0, 1));
    bed.seconds(1);
    let (second, other) = *bed.running().last().unwrap();
    assert_ne!(other, node);
    bed.seconds(1);
    bed.end(second, 0);
    assert_eq!(bed.last().state, Succeeded);
    // After a while the node may have room again.
    bed.seconds(601);
    assert!(bed.cluster.records().tasks.get(&first).is_none());
}
