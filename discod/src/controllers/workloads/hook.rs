//! The hook `place`: which nodes the script prefers for new tasks.
//!
//! It has no effects, and decides nothing alone: the planner chooses the best of the nodes on which a task can run. Without an
//! answer, the planner chooses as it does without the hook.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use disco_planner::placement::Presence;
use disco_runtime_js::{Arg, Json, ScriptError, ScriptErrorKind};
use serde_json::json;

use super::seen::{Preferred, Seen};
use crate::cluster::workloads::recorded::Workloads;
use crate::node::Leader;
use crate::records::{Copies, NodeRecord, TaskRecord};
use crate::script::{self, Hook, Scripts};

/// Tasks of one pass for which it is called: all other tasks wait meanwhile.
const CALLS: usize = 64;
/// Time for all of them.
const BUDGET: Duration = Duration::from_secs(2);
/// How long it is left alone after a failure.
const REST: Duration = Duration::from_secs(10);

/// Calls the hook.
#[derive(Default)]
pub(super) struct PlaceHook {
    scripts: Scripts,
    /// The script version that has failed, and until when it is left alone.
    rests: Option<(Option<String>, Instant)>,
}

/// A node that a script may prefer.
struct Candidate<'a> {
    record: &'a NodeRecord,
    tasks: Vec<&'a TaskRecord>,
    cpu_millis: u64,
    memory: u64,
    /// Tasks of this pass that the hook has given it, by service.
    given: BTreeMap<(&'a str, &'a str), u64>,
}

// === impl PlaceHook ===

impl PlaceHook {
    pub(super) fn new(scripts: &Scripts) -> Self {
        Self { scripts: scripts.clone(), rests: None }
    }

    /// What the script prefers for the tasks that a plan adds to the records.
    pub(super) async fn preferred(
        &mut self,
        leader: &Leader,
        before: &Workloads,
        after: &Workloads,
        seen: &Seen,
    ) -> Preferred {
        let name = Hook::Place.name();
        let mut preferred = Preferred::new();
        let has_hook = leader.scripts().versions().borrow().as_ref().is_some_and(|version| version.has(name));
        let version = leader.scripts().current();
        let rests = self.rests.as_ref().is_some_and(|(failed, until)| *failed == version && Instant::now() < *until);
        if !has_hook || rests {
            return preferred;
        }
        let is_new = |task: &&TaskRecord| !before.tasks.exists(&task.id) && has_choice(after, task);
        let new: Vec<&TaskRecord> = after.tasks.values().filter(is_new).take(CALLS).collect();
        if new.is_empty() {
            return preferred;
        }
        let mut nodes = candidates(before, seen);
        let end = Instant::now() + BUDGET;
        for task in new {
            if Instant::now() >= end {
                tracing::warn!(target: "script", hook = name, "the hook was not called for all tasks, for want of time");
                break;
            }
            let args = vec![
                Arg::Json(service(after, task)),
                Arg::Json(nodes.iter().map(|node| node.json(task)).collect::<Vec<_>>().into()),
            ];
            let answer = self.scripts.call(leader, name, args, Hook::Place.options()).await;
            let scores = answer.and_then(|answer| {
                let ids: Vec<(u64, &str)> =
                    nodes.iter().map(|node| (node.record.id, node.record.name.as_str())).collect();
                let others: Vec<(u64, &str)> =
                    before.nodes.values().map(|node| (node.id, node.name.as_str())).collect();
                scores(&answer.unwrap_or_default(), &ids, &others)
                    .map_err(|why| ScriptError::new(ScriptErrorKind::Thrown, format!("its result is not valid: {why}")))
            });
            match scores {
                Ok(scores) => {
                    leader.scripts().succeeded(name);
                    let best = scores.iter().max_by_key(|(id, score)| (**score, std::cmp::Reverse(**id)));
                    if let Some((best, _)) = best
                        && let Some(node) = nodes.iter_mut().find(|node| node.record.id == *best)
                    {
                        *node.given.entry((&task.stack, &task.service)).or_default() += 1;
                    }
                    if !scores.is_empty() {
                        preferred.entry(task.group).or_default().insert(task.index, scores);
                    }
                }
                Err(error) => {
                    self.rests = Some((version.clone(), Instant::now() + REST));
                    script::report(leader, name, &error).await;
                    break;
                }
            }
        }
        preferred
    }
}

/// A task of a service of every node has none.
fn has_choice(records: &Workloads, task: &TaskRecord) -> bool {
    let service = records.services.get(&(task.stack.clone(), task.service.clone()));
    service.is_some_and(|service| matches!(service.copies, Copies::Number(_)))
}

/// Nodes that can have new tasks.
fn candidates<'a>(records: &'a Workloads, seen: &Seen) -> Vec<Candidate<'a>> {
    let is_here = |id: u64| seen.nodes.get(&id).is_some_and(|node| node.presence == Presence::Here);
    let nodes = records.nodes.values().filter(|node| is_here(node.id) && !node.drained && !node.leaving);
    let candidates = nodes.filter_map(|record| {
        let capacity = records.capacities.get(&record.id)?;
        let is_own = |task: &&TaskRecord| {
            task.node == record.id && !records.states.get(&task.id).is_some_and(|state| state.gone)
        };
        let tasks = records.tasks.values().filter(is_own).collect();
        let (cpu_millis, memory) = (capacity.cpu_millis, capacity.memory);
        Some(Candidate { record, tasks, cpu_millis, memory, given: BTreeMap::new() })
    });
    candidates.collect()
}

impl Candidate<'_> {
    fn json(&self, task: &TaskRecord) -> Json {
        let Self { record, tasks, given, .. } = self;
        let of_service =
            tasks.iter().filter(|own| own.stack == task.stack && own.service == task.service).count() as u64;
        let given_service = given.get(&(task.stack.as_str(), task.service.as_str())).copied().unwrap_or(0);
        let cpu_millis: u64 = tasks.iter().map(|own| own.needs.cpu_millis).sum();
        let memory: u64 = tasks.iter().map(|own| own.needs.memory).sum();
        json!({
            "id": record.id,
            "name": record.name,
            "address": record.address,
            "labels": record.labels,
            "tasks": tasks.len() as u64 + given.values().sum::<u64>(),
            "tasks_of_service": of_service + given_service,
            "cpu_millis_free": self.cpu_millis.saturating_sub(cpu_millis),
            "memory_free": self.memory.saturating_sub(memory),
        })
    }
}

fn service(records: &Workloads, task: &TaskRecord) -> Json {
    let service = records.services.get(&(task.stack.clone(), task.service.clone()));
    let copies = match service.map(|service| service.copies) {
        Some(Copies::Number(count)) => count,
        _ => 0,
    };
    let labels = records.groups.get(&task.group).map(|group| group.spec.labels.clone()).unwrap_or_default();
    json!({
        "stack": task.stack,
        "name": task.service,
        "index": task.index,
        "copies": copies,
        "labels": labels,
        "cpu_millis": task.needs.cpu_millis,
        "memory": task.needs.memory,
    })
}

/// The scores in an answer, as ranks from 1; empty if it leaves the choice to the cluster, also by a node of `others`, which can
/// have no new tasks.
fn scores(answer: &Json, nodes: &[(u64, &str)], others: &[(u64, &str)]) -> Result<BTreeMap<u64, i64>, String> {
    let unknown = || format!("{answer} is none of the nodes");
    match answer {
        Json::Null => Ok(BTreeMap::new()),
        Json::Number(id) => one(id.as_u64(), None, nodes, others).ok_or_else(unknown),
        Json::String(name) => one(None, Some(name.as_str()), nodes, others).ok_or_else(unknown),
        Json::Object(node) => {
            let id = node.get("id").and_then(Json::as_u64);
            one(id, None, nodes, others).ok_or_else(unknown)
        }
        Json::Array(scores) if scores.len() == nodes.len() => {
            let scores: Option<Vec<f64>> = scores.iter().map(Json::as_f64).collect();
            let scores = scores.filter(|scores| scores.iter().all(|score| score.is_finite()));
            let scores = scores.ok_or("a score must be a number")?;
            let rank = |score: f64| scores.iter().filter(|other| **other < score).count();
            let ranks = scores.iter().map(|score| i64::try_from(rank(*score)).unwrap_or(i64::MAX).saturating_add(1));
            Ok(nodes.iter().map(|(id, _)| *id).zip(ranks).collect())
        }
        Json::Array(scores) => Err(format!("expected {} scores, one for each node, not {}", nodes.len(), scores.len())),
        Json::Bool(_) => Err("expected a node, its id, its name, a list of scores, or nothing".to_owned()),
    }
}

/// The score of the node with this id or name; `None` if no node has it.
fn one(
    id: Option<u64>,
    name: Option<&str>,
    nodes: &[(u64, &str)],
    others: &[(u64, &str)],
) -> Option<BTreeMap<u64, i64>> {
    let is = |node: &(u64, &str)| id == Some(node.0) || name == Some(node.1);
    match nodes.iter().find(|&node| is(node)) {
        Some((found, _)) => Some(BTreeMap::from([(*found, 1)])),
        None => others.iter().any(is).then(BTreeMap::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [(u64, &str); 3] = [(1, "a"), (2, "b"), (7, "c")];

    #[test]
    fn an_answer_names_a_node_or_scores_all() {
        let of = |answer: Json| scores(&answer, &NODES, &[(9, "d")]);
        let two = Ok(BTreeMap::from([(2, 1)]));
        assert_eq!(
            [of(json!(2)), of(json!("b")), of(json!({ "id": 2, "name": "x" }))],
            [two.clone(), two.clone(), two]
        );
        for none in [Json::Null, json!(9), json!("d"), json!({ "id": 9 })] {
            assert_eq!(of(none), Ok(BTreeMap::new()));
        }
        assert_eq!(of(json!([0.5, -3, 0.5])), Ok(BTreeMap::from([(1, 2), (2, 1), (7, 2)])));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for answer in [json!(9), json!("d"), json!({}), json!(true), json!([1, 2]), json!([1, 2, "3"]), json!(1.5)] {
            assert!(scores(&answer, &NODES, &[]).is_err(), "{answer}");
        }
    }
}
