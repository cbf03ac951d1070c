//! Starts and ends tasks, as the planner has decided.

use std::collections::BTreeSet;

use disco_planner::placement::{Plan, Reason, Start, Why};

use super::pass::Pass;
use super::place::{self, is_here};
use super::rollout;
use super::service::Situation;
use crate::cluster::workloads::recorded::service_key;
use crate::cluster::workloads::table::ServiceId;
use crate::records::{Copies, EventRecord, Goal, GroupRecord, Severity, TaskRecord, event};

/// Maximum length of a reason in records and events.
const MOST_BYTES: usize = 2_000;

/// Which tasks of a version may start now.
#[derive(Default)]
pub(super) struct Budget {
    /// How many.
    pub most: u64,
    /// Not those with these numbers.
    pub held: BTreeSet<u64>,
}

/// Ends tasks of services that do not exist.
pub(super) fn end_orphans(pass: &mut Pass) {
    let exists = |task: &&TaskRecord| {
        task.run.is_some() || pass.records().services.exists(&(task.stack.clone(), task.service.clone()))
    };
    let orphans: Vec<u64> = pass.records().tasks.values().filter(|task| !exists(task)).map(|task| task.id).collect();
    for task in orphans {
        end(pass, task, "its service does not exist");
    }
}

/// Ends all tasks of a service.
pub(super) fn end_all(pass: &mut Pass, id: &ServiceId, why: &str) {
    let tasks: Vec<u64> = pass.records().tasks_of(id).map(|task| task.id).collect();
    for task in tasks {
        end(pass, task, why);
    }
}

/// Ends all tasks of other versions of a service.
pub(super) fn end_others(pass: &mut Pass, id: &ServiceId, group: u64) {
    let others = pass.records().tasks_of(id).filter(|task| task.group != group);
    let others: Vec<u64> = others.map(|task| task.id).collect();
    for task in others {
        end(pass, task, "another version has taken its place");
    }
}

/// Ends those tasks of other versions that the service can miss. Healthy ones stay for as long as tasks of its own version are
/// missing: a rollout may have ended on the way back, without a healthy task of the version before.
pub(super) fn end_spare_others(pass: &mut Pass, id: &ServiceId, group: &GroupRecord, copies: Copies) {
    let is_good = |task: &&TaskRecord| task.goal == Goal::Run && pass.is_healthy(task) && is_here(pass, task.node);
    let own: BTreeSet<u64> =
        pass.live(id).filter(|task| task.group == group.id).filter(is_good).map(|task| task.node).collect();
    let count = pass.live(id).filter(|task| task.group == group.id).filter(is_good).count();
    let mut missing = match copies {
        // Its own version cannot start beside them.
        _ if rollout::is_stop_first(&group.spec) => 0,
        Copies::Number(copies) => usize::try_from(copies).unwrap_or(usize::MAX).saturating_sub(count),
        Copies::EveryNode => usize::MAX,
    };
    let mut ending = Vec::new();
    for task in pass.records().tasks_of(id).filter(|task| task.group != group.id) {
        let is_missed = copies != Copies::EveryNode || !own.contains(&task.node);
        if missing > 0 && is_missed && is_good(&task) {
            missing -= 1;
        } else {
            ending.push(task.id);
        }
    }
    for task in ending {
        end(pass, task, "another version has taken its place");
    }
}

/// Ends a task.
pub(super) fn end(pass: &mut Pass, task: u64, why: &str) {
    pass.end(task, why);
}

/// Carries out what the planner has decided about one version. Returns why tasks have no node. `ends`: tasks that can be missed
/// may end; otherwise only those on lost nodes.
pub(super) fn placement(
    pass: &mut Pass,
    situation: &Situation,
    group: &GroupRecord,
    placed: &Plan,
    budget: &Budget,
    ends: bool,
) -> Vec<String> {
    let most = usize::try_from(budget.most).unwrap_or(usize::MAX);
    let starts = placed.start.iter().filter(|start| start.group == group.id && !budget.held.contains(&start.index));
    let starts: Vec<&Start> = starts.take(most).collect();
    let unplaced = unplaced(pass, situation, group, placed, budget);
    let of_group = |task: u64| pass.records().tasks.get(&task).is_some_and(|task| task.group == group.id);
    let stops: Vec<_> = placed.stop.iter().filter(|stop| of_group(stop.task)).copied().collect();
    let is_over = |task: u64| pass.records().tasks.get(&task).is_some_and(|task| is_over(pass, task));
    let over: BTreeSet<u64> = stops.iter().map(|stop| stop.task).filter(|task| is_over(*task)).collect();
    // A task on a lost node goes only with the start of another one: until then it counts again when its node returns.
    let mut replaced = starts.len();
    for stop in stops {
        let why = match stop.why {
            Why::NodeLost if over.contains(&stop.task) && only_waits(placed, group.id) => "its node is lost",
            Why::NodeLost if replaced == 0 => continue,
            Why::NodeLost => {
                replaced -= 1;
                "its node is lost"
            }
            _ if !ends => continue,
            Why::TooMany => "there are more copies than the service shall have",
            Why::NodeDrained => "its node is drained",
            Why::NodeUnfit => "its node does not meet the service's constraints any more",
            // Ends that the other steps of a pass decide about.
            Why::NotWanted | Why::Failed => continue,
        };
        end(pass, stop.task, why);
    }
    for start in starts {
        begin(pass, situation, group, start);
    }
    unplaced
}

/// A singleton on a lost node whose lease is over. It ends first, and only a later look, which finds its node still silent, starts
/// another one.
fn is_over(pass: &Pass, task: &TaskRecord) -> bool {
    pass.may_run(task) && task.goal != Goal::Stop && pass.may_run_for(task) == 0
}

/// Whether a task of the version has a node as soon as the previous one runs no more.
fn only_waits(placed: &Plan, group: u64) -> bool {
    let mut nodes =
        placed.unplaced.iter().filter(|unplaced| unplaced.group == group).flat_map(|one| one.reasons.values());
    nodes.any(|reasons| reasons.iter().all(|reason| *reason == Reason::MayRun))
}

/// Ends singletons of other versions on lost nodes whose lease is over, once one of this version has a node.
pub(super) fn end_lost(pass: &mut Pass, id: &ServiceId, group: u64, placed: &Plan) {
    if !only_waits(placed, group) {
        return;
    }
    let lost = pass.records().tasks_of(id).filter(|task| task.group != group && is_over(pass, task));
    for task in lost.map(|task| task.id).collect::<Vec<_>>() {
        end(pass, task, "its node is lost");
    }
}

fn begin(pass: &mut Pass, situation: &Situation, group: &GroupRecord, start: &Start) {
    let id = pass.draft.records.take_task();
    let (stack, service) = situation.id.clone();
    let task = TaskRecord {
        id,
        stack,
        service,
        group: group.id,
        index: start.index,
        node: start.node,
        ports: place::task_ports(&group.spec, &start.ports),
        needs: group.spec.needs,
        goal: Goal::Run,
        since: pass.draft.now.text.clone(),
        why: String::new(),
        run: None,
    };
    pass.draft.records.add_task(task);
}

/// Why tasks of one version have no node.
pub(super) fn unplaced(
    pass: &Pass,
    situation: &Situation,
    group: &GroupRecord,
    placed: &Plan,
    budget: &Budget,
) -> Vec<String> {
    if budget.most == 0 {
        return Vec::new();
    }
    let nodes_of = |is: fn(&TaskRecord, u64) -> bool| -> BTreeSet<u64> {
        pass.live(&situation.id).filter(|task| is(task, group.id)).map(|task| task.node).collect()
    };
    let leaving = nodes_of(|task, _| task.goal != Goal::Run);
    // A node whose previous task has its turn later.
    let later = nodes_of(|task, group| task.group != group);
    let is_later = |index: u64| situation.service.copies == Copies::EveryNode && later.contains(&index);
    let of_group = placed.unplaced.iter().filter(|unplaced| {
        unplaced.group == group.id && !is_later(unplaced.index) && !budget.held.contains(&unplaced.index)
    });
    let reasons = of_group.filter_map(|unplaced| Some((unplaced.index, place::describe(pass, unplaced, &leaving)?)));
    place::join(&situation.id.1, reasons.collect())
}

/// Records why tasks have no node, with an event when that changes.
pub(super) fn note_unplaced(pass: &mut Pass, id: &ServiceId, unplaced: &[String]) {
    let mut text = unplaced.join("; ");
    text.truncate(text.floor_char_boundary(MOST_BYTES));
    let Some(service) = pass.records().services.get(id).filter(|service| service.unplaced != text) else { return };
    // Which resources are short, not by how much.
    let kind = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    if !text.is_empty() && kind(&text) != kind(&service.unplaced) {
        let message = format!("no node for a task of `{}/{}`: {text}", service.stack, service.name);
        let data = Some(serde_json::json!({ "stack": service.stack, "service": service.name }));
        let event = EventRecord { data, ..event("task.unplaced", Severity::Warning, None, message) };
        pass.draft.note(service_key(id), event);
    }
    pass.draft.records.services.change(id, |service| service.unplaced = text);
}
