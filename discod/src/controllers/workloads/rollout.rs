//! A service's rollout as the planner sees it.

use std::time::Duration;

use disco_planner::rollout::{Order, Strategy, Task, View};

use super::pass::{FAILED, Pass, millis};
use super::place::{is_here, is_host};
use super::service::{Situation, is_paused};
use crate::cluster::workloads::table::ServiceId;
use crate::records::{
    Copies, DependencySpec, Goal, GroupRecord, RestartCondition, RolloutRecord, ServiceSpec, TaskRecord, TaskState,
};

/// What a service's tasks are held back for.
pub(super) struct Held {
    /// The condition, in words.
    pub what: String,
    /// Nothing is under way that would fulfil it.
    pub rests: bool,
}

/// The view, without the reasons of tasks that have no node. `copies` is the number that the service shall have.
pub(super) fn view(
    pass: &Pass,
    situation: &Situation,
    group: &GroupRecord,
    rollout: &RolloutRecord,
    copies: u64,
) -> View {
    let goes_back = rollout.failed.is_some();
    let (new, old): (Vec<&TaskRecord>, Vec<&TaskRecord>) = pass
        .records()
        .tasks_of(&situation.id)
        .filter(|task| is_present(pass, task))
        .partition(|task| task.group == group.id);
    // What was complete and is of another version runs no more.
    let old = old.into_iter().filter(|task| !pass.is_complete(task));
    View {
        strategy: strategy(&group.spec, goes_back),
        copies,
        new: new.into_iter().map(|task| self::task(pass, task)).collect(),
        old: old.map(|task| self::task(pass, task)).collect(),
        // Nothing is left to go back to.
        failures: if goes_back { 0 } else { failures(pass, &situation.id, group, rollout) },
        idle_for: if goes_back { Duration::ZERO } else { idle_for(pass, &situation.id, group, rollout) },
        unplaced: Vec::new(),
        paused: is_paused(&situation.service, group, rollout),
    }
}

/// What counts as there: a task on a lost node is replaced.
fn is_present(pass: &Pass, task: &TaskRecord) -> bool {
    pass.is_complete(task) || (!pass.is_gone(task) && !pass.is_lost(task.node))
}

fn task(pass: &Pass, task: &TaskRecord) -> Task {
    let complete = pass.is_complete(task);
    let state = pass.state(task);
    let healthy_for = if complete {
        Some(state.and_then(|state| state.finished_at.as_deref()).map_or(0, |at| pass.draft.now.since(at)))
    } else if pass.is_healthy(task) {
        Some(state.and_then(|state| state.healthy_since.as_deref()).map_or(0, |at| pass.draft.now.since(at)))
    } else {
        None
    };
    Task {
        id: task.id,
        healthy_for: healthy_for.map(Duration::from_millis),
        draining: task.goal == Goal::Drain,
        stopping: task.goal == Goal::Stop,
        silent: !complete && !is_here(pass, task.node),
    }
}

/// Whether a task of a version ends before one of another version starts.
pub(super) fn is_stop_first(spec: &ServiceSpec) -> bool {
    // What cannot exist twice.
    spec.update.stop_first || spec.singleton || spec.ports.iter().any(is_host)
}

fn strategy(spec: &ServiceSpec, goes_back: bool) -> Strategy {
    let update = &spec.update;
    Strategy {
        order: if is_stop_first(spec) { Order::StopFirst } else { Order::StartFirst },
        batch: update.batch.into(),
        max_unavailable: update.max_unavailable.into(),
        delay: if goes_back { Duration::ZERO } else { Duration::from_millis(update.delay_ms) },
        limit: if goes_back { Duration::MAX } else { Duration::from_millis(update.limit_ms) },
        max_failures: match spec.restart.condition {
            // One that is never started again has failed the first time.
            RestartCondition::Never => 0,
            _ => update.max_failures.into(),
        },
    }
}

/// Failures of the tasks that were made in the rollout.
fn failures(pass: &Pass, id: &ServiceId, group: &GroupRecord, rollout: &RolloutRecord) -> u64 {
    let made = pass.records().tasks_of(id).filter(|task| task.group == group.id && task.id >= rollout.first_task);
    rollout.failures + made.map(|task| failures_of(pass, task)).sum::<u64>()
}

/// How often a task has failed.
pub(super) fn failures_of(pass: &Pass, task: &TaskRecord) -> u64 {
    pass.state(task).map_or(0, |state| state.restarts + u64::from(state.state == TaskState::Failed))
}

/// Time since something became better.
pub(super) fn idle_for(pass: &Pass, id: &ServiceId, group: &GroupRecord, rollout: &RolloutRecord) -> Duration {
    let mut idle = pass.draft.now.since(&rollout.started_at);
    let mut better = |time: Option<&str>| idle = time.map_or(idle, |time| idle.min(pass.draft.now.since(time)));
    // What starts in the place of one that has failed is not better than that.
    let mut has_failed = rollout.failures > 0;
    for task in pass.records().tasks_of(id) {
        let is_new = task.group == group.id;
        let is_better = match task.goal {
            Goal::Run => is_new && !has_failed,
            // Not one that failed, nor one that was started only because this rollout waits.
            Goal::Drain | Goal::Stop => !is_new && task.id < rollout.first_task && !task.why.starts_with(FAILED),
        };
        better(Some(task.since.as_str()).filter(|_| is_better));
        has_failed |= is_new && task.id >= rollout.first_task && task.why.starts_with(FAILED);
        let state = pass.state(task).filter(|_| is_new);
        better(state.and_then(|state| state.healthy_since.as_deref()));
        better(state.and_then(|state| state.finished_at.as_deref()).filter(|_| pass.is_complete(task)));
    }
    // Before that the service was held back.
    for other in group.spec.depends_on.keys() {
        let other = (id.0.clone(), other.clone());
        for state in pass.records().tasks_of(&other).filter_map(|task| pass.state(task)) {
            better(state.healthy_since.as_deref());
        }
    }
    // A clock that was set makes no version fail.
    let own = pass.seen.ages.rollouts.get(id).copied().unwrap_or(Duration::MAX);
    Duration::from_millis(idle).min(own)
}

/// The first condition of `depends_on` that is not fulfilled.
pub(super) fn held(pass: &Pass, id: &ServiceId, group: &GroupRecord) -> Option<Held> {
    group.spec.depends_on.iter().find_map(|(name, condition)| {
        let other = (id.0.clone(), name.clone());
        let service = pass.records().services.get(&other)?;
        let tasks =
            || pass.records().tasks_of(&other).filter(|task| task.group == service.group && task.goal == Goal::Run);
        let complete = tasks().filter(|task| pass.is_complete(task)).count();
        let healthy = complete + tasks().filter(|task| pass.is_healthy(task) && is_here(pass, task.node)).count();
        let runs = |task: &TaskRecord| pass.state(task).is_some_and(|state| state.state == TaskState::Running);
        let (is_true, what) = match condition {
            DependencySpec::Started => (complete > 0 || tasks().any(runs), "to run"),
            DependencySpec::Healthy => {
                (healthy > 0 && healthy >= wanted(service.copies, tasks().count()), "to be healthy")
            }
            DependencySpec::Completed => (complete > 0, "to complete"),
        };
        let rests = service.rollout.as_ref().is_none_or(|rollout| rollout.failed.is_some());
        (!is_true).then(|| Held { what: format!("service `{name}` {what}"), rests })
    })
}

fn wanted(copies: Copies, exist: usize) -> usize {
    match copies {
        Copies::Number(count) => usize::try_from(count).unwrap_or(usize::MAX),
        Copies::EveryNode => exist,
    }
}

/// Why a task of the version does not work, as its node reports.
pub(super) fn last_reason(pass: &Pass, id: &ServiceId, group: u64, first_task: u64) -> Option<String> {
    let made = pass.records().tasks_of(id).filter(|task| task.group == group && task.id >= first_task);
    let mut bad: Vec<_> = made.filter(|task| !pass.is_complete(task)).filter_map(|task| pass.state(task)).collect();
    bad.retain(|state| !state.healthy && !state.reason.is_empty());
    bad.sort_by_key(|state| (state.finished_at.clone(), state.id));
    bad.last().map(|state| state.reason.clone())
}

/// Milliseconds until tasks that failed are replaced: the more have failed lately, the longer.
pub(super) fn back_off(pass: &Pass, id: &ServiceId, group: u64) -> u64 {
    let ages: Vec<u64> = failed(pass, id, group).map(|task| pass.goal_age(task)).collect();
    let pause = match ages.len() {
        0 => return 0,
        1 => Duration::from_secs(1),
        2 => Duration::from_secs(10),
        _ => Duration::from_secs(60),
    };
    millis(pause).saturating_sub(ages.into_iter().min().unwrap_or_default())
}

/// Tasks of a version that have failed lately.
pub(super) fn failed<'b>(pass: &'b Pass, id: &'b ServiceId, group: u64) -> impl Iterator<Item = &'b TaskRecord> {
    let ended = pass.records().tasks_of(id).filter(move |task| task.group == group && task.goal == Goal::Stop);
    ended.filter(|task| pass.state(task).is_some_and(|state| state.state == TaskState::Failed))
}
