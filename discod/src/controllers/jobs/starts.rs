//! Tasks for runs that have none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use disco_planner::jobs::{Overlap, pause_after};
use disco_planner::placement::{self, Copies, Plan};

use super::ends::finish;
use super::view::{Look, run_id};
use crate::cluster::workloads::jobs::overlap;
use crate::controllers::workloads::pass::millis;
use crate::controllers::workloads::place;
use crate::records::{Goal, GroupRecord, JobRunRecord, JobRunState, Severity, TaskRecord, TaskRun};

/// A run that no node can take for so long has failed.
const LIMIT: Duration = Duration::from_secs(300);

/// Gives tasks to the runs that can begin.
pub(super) fn begin(look: &mut Look) {
    let waiting: Vec<JobRunRecord> =
        look.records().runs.values().filter(|run| run.state == JobRunState::Waiting).cloned().collect();
    let mut of_group: BTreeMap<u64, Vec<JobRunRecord>> = BTreeMap::new();
    for run in waiting {
        if is_due(look, &run) {
            of_group.entry(run.group).or_default().push(run);
        }
    }
    if of_group.is_empty() {
        return;
    }
    let nodes = place::nodes(&look.pass);
    let group = |(id, runs): (&u64, &Vec<JobRunRecord>)| {
        let record = look.records().groups.get(id)?;
        Some(place::group(record, Copies::Count(runs.len() as u64), BTreeSet::new()))
    };
    let groups: Vec<_> = of_group.iter().filter_map(group).collect();
    // All tasks only take their part of their nodes here.
    let placed = placement::plan(&nodes, &groups, &place::tasks(&look.pass, &BTreeSet::new()));
    for (id, runs) in of_group {
        let Some(group) = look.records().groups.get(&id).cloned() else {
            for mut run in runs {
                finish(look, &mut run, JobRunState::Failed, "its version does not exist any more".to_owned());
                put(look, run);
            }
            continue;
        };
        of_version(look, &group, runs, &placed);
    }
}

/// Whether a run that waits can begin, but for a node.
fn is_due(look: &mut Look, run: &JobRunRecord) -> bool {
    if run.ending.is_some() {
        return false;
    }
    let Some(spec) = look.spec_of(run) else { return true };
    let earlier = |other: &JobRunRecord| other.number < run.number && !other.is_over();
    let id = (run.stack.clone(), run.job.clone());
    if overlap(spec.overlap) == Overlap::Replace && look.records().runs_of(&id).any(earlier) {
        return false;
    }
    let tries = run.failures + run.refusals;
    let pause = if tries == 0 { None } else { pause_after(tries, u32::MAX) };
    let rest = pause.map_or(0, millis).saturating_sub(look.waits_for(run));
    if rest > 0 {
        look.pass.due_in(rest);
    }
    rest == 0
}

fn of_version(look: &mut Look, group: &GroupRecord, runs: Vec<JobRunRecord>, placed: &Plan) {
    let mut starts = placed.start.iter().filter(|start| start.group == group.id);
    let mut left = Vec::new();
    for run in runs {
        match starts.next() {
            Some(start) if !look.is_full() || look.made.contains(&run_id(&run)) => {
                start_on(look, group, run, start.node);
            }
            Some(_) => {}
            None => left.push(run),
        }
    }
    let none = placed.unplaced.iter().find(|unplaced| unplaced.group == group.id);
    let why = none.and_then(|unplaced| place::describe(&look.pass, unplaced, &BTreeSet::new()));
    let why = why.unwrap_or_else(|| "no node is free".to_owned());
    for run in left {
        unplaced(look, run, &why);
    }
}

fn start_on(look: &mut Look, group: &GroupRecord, mut run: JobRunRecord, node: u64) {
    let id = look.pass.draft.records.take_task();
    let task = TaskRecord {
        id,
        stack: run.stack.clone(),
        service: run.job.clone(),
        group: group.id,
        index: run.number,
        node,
        ports: Vec::new(),
        needs: group.spec.needs,
        goal: Goal::Run,
        since: look.pass.draft.now.text.clone(),
        why: String::new(),
        run: Some(TaskRun { number: run.number, scheduled: run.scheduled.clone(), args: run.args.clone() }),
    };
    look.pass.draft.records.add_task(task);
    (run.state, run.task, run.node) = (JobRunState::Running, Some(id), Some(node));
    (run.exit_code, run.signal) = (None, None);
    run.reason.clear();
    let tries = run.failures + run.refusals;
    let again = if tries == 0 { String::new() } else { format!(", try {}", tries + 1) };
    let text = format!("run `{}` starts on {}{again}", run.name(), look.node_name(node));
    look.note("job.started", Severity::Info, &run, text);
    put(look, run);
}

/// No node can take it.
fn unplaced(look: &mut Look, mut run: JobRunRecord, why: &str) {
    // By this leader's own clock: a clock that was set makes no run fail.
    let rest = millis(LIMIT).saturating_sub(look.seen_waiting(&run));
    look.pass.waits.push(format!("run `{}` waits for a node: {why}", run.name()));
    if rest == 0 {
        if look.is_full() {
            return;
        }
        run.unplaced = true;
        finish(look, &mut run, JobRunState::Failed, format!("no node within {} s: {why}", LIMIT.as_secs()));
        return put(look, run);
    }
    look.pass.due_in(rest);
    // Which resources are short, not by how much.
    let kind = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let reason = format!("no node: {why}");
    if kind(&run.reason) != kind(&reason) && !look.is_full() {
        run.reason = reason;
        put(look, run);
    }
}

fn put(look: &mut Look, run: JobRunRecord) {
    look.step();
    look.pass.draft.records.runs.put(run_id(&run), run);
}
