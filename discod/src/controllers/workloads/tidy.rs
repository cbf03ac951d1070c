//! Deletes records that nothing needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::pass::{FAILED, Pass, millis};
use super::rollout::failures_of;
use crate::cluster::workloads::table::{ServiceId, ValueId};
use crate::records::{Goal, TaskRecord, ValueKind};

/// How long, and how many per service, tasks that have failed stay in the records, so that their state and their output can be
/// read.
const STAY_FOR: Duration = Duration::from_secs(600);
const MOST_FAILED: usize = 3;

/// Deletes them.
pub(super) fn tidy(pass: &mut Pass) {
    tasks(pass);
    stacks(pass);
    groups(pass);
    values(pass);
    let removed = |pass: &Pass, node: &u64| pass.is_removed(*node);
    let capacities = pass.records().capacities.iter().filter(|(node, _)| removed(pass, node));
    for node in capacities.map(|(node, _)| *node).collect::<Vec<_>>() {
        pass.draft.records.capacities.remove(&node);
    }
}

fn tasks(pass: &mut Pass) {
    let mut staying: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut gone, mut due, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    // The newest first.
    for task in pass.records().tasks.values().rev().filter(|task| is_over(pass, task)) {
        let age = pass.draft.now.since(&task.since);
        let count = staying.entry((&task.stack, &task.service)).or_default();
        let explains = explains(pass, task);
        if explains && age < millis(STAY_FOR) && *count < MOST_FAILED {
            *count += 1;
            due.push(millis(STAY_FOR) - age);
        } else {
            gone.push(task.id);
            if let Some(service) = counted_by(pass, task) {
                failures.push((service, failures_of(pass, task)));
            }
        }
    }
    for (service, count) in failures.into_iter().filter(|(_, count)| *count > 0) {
        pass.draft.records.services.change(&service, |service| {
            service.rollout.iter_mut().for_each(|rollout| rollout.failures += count);
        });
    }
    for task in gone {
        pass.draft.records.tasks.remove(&task);
    }
    for ms in due {
        pass.due_in(ms);
    }
    let orphans = pass.records().states.iter().filter(|(id, _)| !pass.records().tasks.exists(id));
    for id in orphans.map(|(id, _)| *id).collect::<Vec<_>>() {
        pass.draft.records.states.remove(&id);
    }
}

/// A copy of a service that runs no more, and shall not. Runs are deleted by `controllers/jobs`.
fn is_over(pass: &Pass, task: &TaskRecord) -> bool {
    task.run.is_none() && task.goal != Goal::Run && pass.is_gone(task)
}

/// Whether its output may explain a failure. An operator who removes a service wants nothing of it.
fn explains(pass: &Pass, task: &TaskRecord) -> bool {
    let service = pass.records().services.get(&(task.stack.clone(), task.service.clone()));
    let is_removed = service.is_some_and(|service| service.removed && service.rollout.is_none());
    let stack_exists = pass.records().stacks.exists(&task.stack);
    task.why.starts_with(FAILED) && !is_removed && stack_exists && !pass.is_removed(task.node)
}

/// The service whose rollout counts the task's failures.
fn counted_by(pass: &Pass, task: &TaskRecord) -> Option<ServiceId> {
    let id = (task.stack.clone(), task.service.clone());
    let service = pass.records().services.get(&id).filter(|service| service.group == task.group)?;
    let rollout = service.rollout.as_ref().filter(|rollout| task.id >= rollout.first_task);
    rollout.map(|_| id)
}

fn stacks(pass: &mut Pass) {
    let unused = pass.records().stacks.iter().filter(|(stack, _)| {
        let unreadable = pass.records().services.unreadable().iter().any(|(of, _)| of == *stack);
        !unreadable && pass.records().services_of(stack).next().is_none() && pass.records().running(stack).is_none()
    });
    for stack in unused.map(|(stack, _)| stack.clone()).collect::<Vec<_>>() {
        pass.draft.records.stacks.remove(&stack);
        // Also what stayed to explain failures.
        let gone = pass
            .records()
            .tasks
            .values()
            .filter(|task| task.stack == stack && task.run.is_none() && pass.is_gone(task));
        for task in gone.map(|task| task.id).collect::<Vec<_>>() {
            pass.draft.records.tasks.remove(&task);
            pass.draft.records.states.remove(&task);
        }
    }
}

/// Secrets and configs of stacks that nothing uses any more, and versions that neither a name nor a version of a service needs.
fn values(pass: &mut Pass) {
    let records = pass.records();
    if !records.groups.unreadable().is_empty() || !records.values.unreadable().is_empty() {
        return;
    }
    let uses = || records.groups.values().flat_map(|group| &group.spec.values);
    let used: BTreeSet<(ValueKind, &str)> = uses().map(|used| (used.kind, used.name.as_str())).collect();
    let is_of_a_stack = |name: &str| name.contains('/');
    let unused = records.values.iter().map(|(id, _)| id);
    let unused = unused.filter(|(kind, name)| is_of_a_stack(name) && !used.contains(&(*kind, name.as_str())));
    let unused: Vec<ValueId> = unused.cloned().collect();
    for id in &unused {
        pass.draft.records.values.remove(id);
    }
    let records = pass.records();
    let uses = records.groups.values().flat_map(|group| &group.spec.values).map(|used| used.version);
    let needed: BTreeSet<u64> = uses.chain(records.values.values().map(|record| record.version)).collect();
    let old = records.value_versions.ids().filter(|version| !needed.contains(version));
    for version in old.collect::<Vec<_>>() {
        pass.draft.records.value_versions.remove(&version);
    }
}

fn groups(pass: &mut Pass) {
    let records = pass.records();
    let is_whole = records.services.unreadable().is_empty()
        && records.stacks.unreadable().is_empty()
        && records.tasks.unreadable().is_empty()
        && records.runs.unreadable().is_empty();
    if !is_whole {
        return;
    }
    let services = records.services.values();
    let services = services.flat_map(|service| [Some(service.group), service.settled.map(|settled| settled.group)]);
    let releases = records.stacks.values().flat_map(|stack| &stack.releases);
    let releases = releases.flat_map(|release| release.services.values().map(|service| service.group));
    let tasks = records.tasks.values().map(|task| task.group);
    let runs = records.runs.values().filter(|run| !run.is_over()).map(|run| run.group);
    let needed: BTreeSet<u64> = services.flatten().chain(releases).chain(tasks).chain(runs).collect();
    let unused = records.groups.iter().map(|(id, _)| *id).filter(|id| !needed.contains(id));
    for id in unused.collect::<Vec<_>>() {
        pass.draft.records.groups.remove(&id);
    }
}
