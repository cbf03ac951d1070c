//! Deletes runs that are not retained, with their tasks, and jobs that do not exist any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::view::{Look, Mode, run_of};
use crate::cluster::workloads::table::{RunId, ServiceId};
use crate::controllers::workloads::pass::millis;
use crate::records::{Goal, JobSpec};

/// How long runs that are over are retained; the last of each job stays longer.
const STAY_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long a task that its node refused stays: meanwhile no other one of its version starts there.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// Deletes them.
pub(super) fn tidy(look: &mut Look) {
    let mut tasks: BTreeMap<RunId, Vec<u64>> = BTreeMap::new();
    for (id, task) in look.records().tasks.iter().filter_map(|(id, task)| Some((id, run_of(task)?))) {
        tasks.entry(task).or_default().push(*id);
    }
    refused(look, &tasks);
    for id in surplus(look) {
        if look.is_full() {
            return;
        }
        // What is left of it on a lost node ends when that returns.
        if remove_tasks(look, tasks.get(&id).map_or(&[][..], Vec::as_slice)) {
            look.pass.draft.records.runs.remove(&id);
            look.step();
        }
    }
    let known: BTreeSet<&RunId> = tasks.keys().collect();
    let is_orphan = |id: &&RunId| !look.records().runs.exists(id);
    for id in known.into_iter().filter(is_orphan).cloned().collect::<Vec<_>>() {
        if look.is_full() {
            return;
        }
        remove_tasks(look, tasks.get(&id).map_or(&[][..], Vec::as_slice));
    }
    jobs(look);
}

/// Runs that are over and not retained, the oldest first.
fn surplus(look: &Look) -> Vec<RunId> {
    let mut surplus = Vec::new();
    let ids: Vec<ServiceId> = look.records().jobs.iter().map(|(id, _)| id.clone()).collect();
    for id in ids {
        let keep = match look.job(&id).mode {
            Mode::Runs(_, spec) => spec.keep,
            Mode::Gone => 0,
            Mode::Ends(_) => look.recorded(&id).map_or_else(JobSpec::usual_keep, |spec| spec.keep),
            Mode::Unknown => continue,
        };
        let over: Vec<_> = look.records().runs_of(&id).filter(|run| run.is_over()).collect();
        let most = over.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        let is_old = |at: usize| {
            let finished = over[at].finished_at.as_deref().unwrap_or_default();
            at + 1 < over.len() && look.pass.draft.now.since(finished) > millis(STAY_FOR)
        };
        let numbers = (0..over.len()).filter(|at| *at < most || is_old(*at)).map(|at| over[at].number);
        surplus.extend(numbers.map(|number| (id.0.clone(), id.1.clone(), number)));
    }
    surplus
}

/// Deletes tasks that run no more. True if none is left.
fn remove_tasks(look: &mut Look, tasks: &[u64]) -> bool {
    let mut is_empty = true;
    for id in tasks {
        let Some(task) = look.records().tasks.get(id).cloned() else { continue };
        if look.is_full() {
            return false;
        }
        if look.pass.is_gone(&task) {
            look.pass.draft.records.tasks.remove(id);
            look.pass.draft.records.states.remove(id);
            look.step();
            continue;
        }
        is_empty = false;
        if task.goal != Goal::Stop {
            look.pass.set(*id, Goal::Stop, "its run is not retained any more");
            look.step();
        }
    }
    is_empty
}

/// Tasks that could not be started, after a while.
fn refused(look: &mut Look, tasks: &BTreeMap<RunId, Vec<u64>>) {
    for id in tasks.values().flatten() {
        let Some(task) = look.records().tasks.get(id).cloned() else { continue };
        if !look.pass.state(&task).is_some_and(|state| state.refused && state.gone) {
            continue;
        }
        match millis(REFUSED_FOR).saturating_sub(look.pass.goal_age(&task)) {
            0 => {
                remove_tasks(look, &[*id]);
            }
            rest => look.pass.due_in(rest),
        }
    }
}

/// Jobs that do not exist any more, and of which nothing is left.
fn jobs(look: &mut Look) {
    let ids: Vec<ServiceId> = look.records().jobs.iter().map(|(id, _)| id.clone()).collect();
    for id in ids {
        let is_gone = matches!(look.job(&id).mode, Mode::Gone) && look.records().runs_of(&id).next().is_none();
        let has_tasks =
            look.records().tasks.values().any(|task| task.run.is_some() && task.stack == id.0 && task.service == id.1);
        if is_gone && !has_tasks && !look.is_full() {
            look.pass.draft.records.jobs.remove(&id);
            look.step();
        }
    }
}
