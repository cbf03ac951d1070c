//! Runs that begin to run, end, or are to end.

use std::time::Duration;

use disco_planner::jobs::pause_after;

use super::view::{Job, Look, Mode, run_id};
use crate::controllers::workloads::pass::millis;
use crate::records::{
    EndingKind, EndingRecord, Goal, JobRunRecord, JobRunState, OverlapSpec, Severity, TaskRecord, TaskState,
    TaskStateRecord,
};

/// Nodes that cannot begin with a run before that counts as a failure.
const MOST_REFUSALS: u32 = 3;
/// A node that has not started a task for so long waits for what is missing, such as the key of a secret or a file: even a file of
/// 1 GiB comes in less time. A run that neither starts nor ends would keep all later ones from their beginning.
const STARTS_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Notes what has become of the runs of a job.
pub(super) fn note(look: &mut Look, job: &Job) {
    let why = match &job.mode {
        Mode::Runs(..) => None,
        Mode::Ends(why) => Some(why.clone()),
        Mode::Gone => Some("the job was removed".to_owned()),
        Mode::Unknown => return,
    };
    let open: Vec<JobRunRecord> = crate::cluster::workloads::jobs::open(look.records(), &job.id).cloned().collect();
    let replacing = open.iter().rev().find(|run| replaces(look, run)).map(|run| run.number);
    for mut run in open {
        if look.is_full() {
            return;
        }
        let before = run.clone();
        let is_replaced = replacing.is_some_and(|number| run.number < number);
        let why = why.clone().or_else(|| is_replaced.then(|| "a later run takes its place".to_owned()));
        if let Some(why) = why.filter(|_| !is_cancelled(&run)) {
            run.ending = Some(EndingRecord { kind: EndingKind::Cancelled, why });
        }
        one(look, &mut run);
        if run != before {
            look.step();
            look.pass.draft.records.runs.put(run_id(&run), run);
        }
    }
}

fn is_cancelled(run: &JobRunRecord) -> bool {
    run.ending.as_ref().is_some_and(|ending| ending.kind == EndingKind::Cancelled)
}

/// Whether earlier runs end for this one, which waits until they have.
fn replaces(look: &Look, run: &JobRunRecord) -> bool {
    !is_cancelled(run) && look.spec_of(run).is_some_and(|spec| spec.overlap == OverlapSpec::Replace)
}

fn one(look: &mut Look, run: &mut JobRunRecord) {
    if run.state == JobRunState::Waiting {
        if let Some(ending) = run.ending.clone() {
            finish(look, run, JobRunState::Cancelled, ending.why);
        }
        return;
    }
    let Some(task) = run.task.and_then(|task| look.records().tasks.get(&task)).cloned() else {
        // An unreadable record says nothing about what runs.
        if run.task.is_none_or(|task| !look.records().tasks.exists(&task)) {
            failed(look, run, "the record of its task is missing".to_owned());
        }
        return;
    };
    let state = look.pass.state(&task).cloned();
    if let Some(state) = &state {
        run.started_at = run.started_at.take().or_else(|| state.started_at.clone());
    }
    if let Some(state) = state.filter(|state| state.gone) {
        return over(look, run, &task, &state);
    }
    if look.pass.is_lost(task.node) {
        let why = match look.pass.is_removed(task.node) {
            true => format!("its node {} was removed", look.node_name(task.node)),
            false => format!("its node {} is lost", look.node_name(task.node)),
        };
        // It ends there if the node returns.
        stop(look, &task, &why);
        return match run.ending.clone().filter(|ending| ending.kind == EndingKind::Cancelled) {
            Some(ending) => finish(look, run, JobRunState::Cancelled, format!("{}; {why}", ending.why)),
            None => failed(look, run, why),
        };
    }
    unstarted(look, run, &task);
    limit(look, run, &task);
    if let Some(ending) = &run.ending {
        let why = ending.why.clone();
        stop(look, &task, &why);
    }
}

/// Ends a try that its node cannot start.
fn unstarted(look: &mut Look, run: &mut JobRunRecord, task: &TaskRecord) {
    let age = look.ages.unstarted.get(&task.id).filter(|_| run.ending.is_none());
    let Some(rest) = age.map(|age| millis(STARTS_WITHIN.saturating_sub(*age))) else { return };
    if rest > 0 {
        return look.pass.due_in(rest);
    }
    let reason = look.pass.state(task).map(|state| state.reason.clone()).filter(|reason| !reason.is_empty());
    let reason = reason.unwrap_or_else(|| "its node could not start it".to_owned());
    let why = format!("it did not start within {}: {reason}", words(STARTS_WITHIN));
    run.ending = Some(EndingRecord { kind: EndingKind::TryFailed, why });
}

/// Ends a try whose time is over.
fn limit(look: &mut Look, run: &mut JobRunRecord, task: &TaskRecord) {
    let limit = look.spec_of(run).and_then(|spec| spec.timeout_ms).filter(|_| run.ending.is_none());
    let Some((limit, age)) = limit.zip(look.ages.tries.get(&task.id)) else { return };
    match limit.saturating_sub(millis(*age)) {
        0 => {
            let why = format!("its time limit of {} is over", words(Duration::from_millis(limit)));
            run.ending = Some(EndingRecord { kind: EndingKind::TryFailed, why });
        }
        rest => look.pass.due_in(rest),
    }
}

fn stop(look: &mut Look, task: &TaskRecord, why: &str) {
    if task.goal != Goal::Stop {
        look.pass.set(task.id, Goal::Stop, why);
        look.step();
    }
}

/// Its task runs no more.
fn over(look: &mut Look, run: &mut JobRunRecord, task: &TaskRecord, state: &TaskStateRecord) {
    (run.exit_code, run.signal) = (state.exit_code, state.signal.clone());
    let reason = if state.reason.is_empty() { "it ended".to_owned() } else { state.reason.clone() };
    if let Some(ending) = run.ending.clone() {
        return match ending.kind {
            EndingKind::Cancelled => finish(look, run, JobRunState::Cancelled, ending.why),
            EndingKind::TryFailed => failed(look, run, ending.why),
        };
    }
    if state.refused {
        run.refusals += 1;
        if run.refusals <= MOST_REFUSALS {
            return wait(look, run, format!("{} refused it: {reason}", look.node_name(task.node)));
        }
    }
    match state.state {
        TaskState::Stopped if task.goal == Goal::Run => finish(look, run, JobRunState::Succeeded, String::new()),
        _ => failed(look, run, reason),
    }
}

/// A try has failed.
fn failed(look: &mut Look, run: &mut JobRunRecord, reason: String) {
    run.failures += 1;
    // Without its version it cannot be tried again.
    let retries = look.spec_of(run).map_or(0, |spec| spec.retries);
    match pause_after(run.failures, retries) {
        Some(_) => wait(look, run, format!("try {} failed: {reason}", run.failures)),
        None => finish(look, run, JobRunState::Failed, reason),
    }
}

/// It is tried again.
fn wait(look: &Look, run: &mut JobRunRecord, reason: String) {
    (run.state, run.ending, run.reason) = (JobRunState::Waiting, None, reason);
    run.since.clone_from(&look.pass.draft.now.text);
}

/// Nothing more becomes of a run.
pub(super) fn finish(look: &mut Look, run: &mut JobRunRecord, state: JobRunState, reason: String) {
    (run.state, run.reason) = (state, reason);
    run.finished_at = Some(look.pass.draft.now.text.clone());
    let (name, why) = (run.name(), run.reason.clone());
    let (kind, severity, text) = match state {
        JobRunState::Succeeded => ("job.succeeded", Severity::Info, format!("run `{name}` succeeded")),
        JobRunState::Cancelled => ("job.cancelled", Severity::Info, format!("run `{name}` was cancelled: {why}")),
        _ => ("job.failed", Severity::Error, format!("run `{name}` failed: {why}")),
    };
    look.note(kind, severity, run, text);
}

/// Such as `5m` or `1h 30m`.
fn words(time: Duration) -> String {
    jiff::SignedDuration::try_from(time).map_or_else(|_| format!("{time:?}"), |time| format!("{time:#}"))
}
