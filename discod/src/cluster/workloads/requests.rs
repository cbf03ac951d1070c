//! The changes that operators request, beside deploys.

use std::collections::BTreeMap;

use disco_proto::v1::WorkloadChange;

use super::check;
use super::draft::Draft;
use super::jobs;
use super::recorded::Workloads;
use super::table::ServiceId;
use super::versions::{self, Target, Version, describe};
use crate::cluster::{Error, Result};
use crate::records::{Copies, EventRecord, RolloutRecord, ServiceRecord, Severity, StackRecord, event, keys};

/// The deployment that carries out a change, and what is changed.
pub type Answer = (u64, Vec<WorkloadChange>);

/// Deploys an earlier release again.
///
/// # Errors
/// The release does not exist.
pub fn rollback(draft: &mut Draft, stack: &str, to: u64) -> Result<Answer> {
    let release = versions::release(&draft.records, stack, to)?;
    let what = format!("back to deployment {}", release.deployment);
    let target = |(name, service): (String, crate::records::ReleasedService)| {
        (name, Target { copies: service.copies, version: Version::Group(service.group) })
    };
    versions::carry_out(draft, stack, release.services.into_iter().map(target).collect(), &what)
}

/// Ends all services of a stack.
///
/// # Errors
/// The stack does not exist.
pub fn remove(draft: &mut Draft, stack: &str) -> Result<Answer> {
    stack_of(&draft.records, stack)?;
    if let Some(running) = draft.records.running(stack).map(|record| record.id) {
        versions::supersede(draft, running, "the stack was removed".to_owned());
    }
    let ids = draft.services_of(stack);
    for id in &ids {
        draft.records.services.change(id, |service| (service.removed, service.rollout) = (true, None));
    }
    draft.records.stacks.change(&stack.to_owned(), |stack| stack.coming = None);
    Ok((0, ids.iter().map(|id| change(id, "removed", String::new())).collect()))
}

/// Changes the number of copies.
///
/// # Errors
/// The service does not exist, or cannot have so many copies.
pub fn scale(draft: &mut Draft, stack: &str, service: &str, count: u32) -> Result<Answer> {
    let id = (stack.to_owned(), service.to_owned());
    let before = service_of(&draft.records, &id)?.clone();
    if jobs::is_job(&draft.records, &before) {
        return Err(Error::Refused(format!(
            "`{service}` is a job, which has no copies: `disco job run {stack}/{service}`"
        )));
    }
    if before.copies == Copies::EveryNode {
        return Err(Error::Refused(format!("service `{service}` runs on every node; its number follows the nodes")));
    }
    let copies = Copies::Number(count);
    let singleton = draft.records.groups.get(&before.group).is_some_and(|group| group.spec.singleton);
    check::number_of(copies, singleton).map_err(|why| Error::Refused(format!("service `{service}`: {why}")))?;
    if before.copies == copies && !before.stopped && Workloads::is_settled(&before) {
        return Ok((0, vec![change(&id, "unchanged", describe(copies))]));
    }
    let is_under_way = |deployment: u64| {
        let rollout = before.rollout.as_ref().filter(|rollout| rollout.failed.is_none());
        rollout.is_some_and(|rollout| rollout.deployment == deployment)
    };
    let running = draft.records.running(stack).filter(|running| running.error.is_none() && is_under_way(running.id));
    if let Some(running) = running.map(|running| running.id).filter(|_| before.copies == copies && !before.stopped) {
        return Ok((running, vec![change(&id, "unchanged", describe(copies))]));
    }
    let detail = format!("{}, was {}", describe(copies), describe(before.copies));
    let deployment = join_deployment(draft, stack, &format!("`{service}` has {detail}"))?;
    let rollout = rollout(draft, &before, deployment);
    let text = format!("service `{stack}/{service}` has {detail}");
    let event = event("service.scaled", Severity::Info, None, text);
    let data = Some(serde_json::json!({ "stack": stack, "service": service, "copies": count }));
    draft.note(super::recorded::service_key(&id), EventRecord { data, ..event });
    let after = ServiceRecord { copies, stopped: false, rollout: Some(rollout), ..before };
    draft.records.services.put(id.clone(), after);
    Ok((deployment, vec![change(&id, "scaled", detail)]))
}

/// Replaces the tasks of a service, or of all services if `service` is empty, by new ones of the same version.
///
/// # Errors
/// It does not exist.
pub fn restart(draft: &mut Draft, stack: &str, service: &str) -> Result<Answer> {
    let (jobs, ids): (Vec<ServiceId>, Vec<ServiceId>) = chosen(draft, stack, service)?
        .into_iter()
        .partition(|id| draft.records.services.get(id).is_some_and(|service| jobs::is_job(&draft.records, service)));
    let mut changes: Vec<WorkloadChange> = jobs.iter().map(|id| jobs::resume(draft, id)).collect();
    if ids.is_empty() {
        return Ok((0, changes));
    }
    let what = if service.is_empty() { "restart".to_owned() } else { format!("restart of `{service}`") };
    let deployment = join_deployment(draft, stack, &what)?;
    for id in &ids {
        let before = service_of(&draft.records, id)?.clone();
        let version = draft.records.groups.get(&before.group).map(|group| (group.hash.clone(), group.spec.clone()));
        let group = match version {
            // Nothing of it runs, so the same group is as good.
            Some((hash, spec)) if !before.stopped => versions::new_group(draft, id, deployment, hash, spec),
            _ => before.group,
        };
        let rollout = Some(draft.rollout(deployment));
        draft.records.services.put(id.clone(), ServiceRecord { group, stopped: false, rollout, ..before });
    }
    changes.extend(ids.iter().map(|id| change(id, "restarted", String::new())));
    Ok((deployment, changes))
}

/// Ends the tasks of a service, or of all services if `service` is empty.
///
/// # Errors
/// It does not exist.
pub fn stop(draft: &mut Draft, stack: &str, service: &str) -> Result<Answer> {
    let mut changes = Vec::new();
    for id in chosen(draft, stack, service)? {
        let was = service_of(&draft.records, &id)?.stopped;
        changes.push(change(&id, if was { "unchanged" } else { "stopped" }, String::new()));
        draft.records.services.change(&id, |service| {
            (service.stopped, service.rollout, service.unplaced) = (true, None, String::new());
        });
    }
    Ok((0, changes))
}

/// Moves a node's tasks to other nodes, or lets it have tasks again.
///
/// # Errors
/// The node does not exist.
pub fn drain(draft: &mut Draft, node: u64, drained: bool) -> Result<Answer> {
    let found = draft.records.nodes.get(&node);
    let found = found.ok_or_else(|| Error::NotFound(format!("node {node} does not exist")))?;
    if found.drained != drained {
        let (kind, text) = if drained {
            ("node.drained", format!("{} is drained: its tasks move to other nodes", found.name))
        } else {
            ("node.undrained", format!("{} may have tasks again", found.name))
        };
        draft.note(keys::node(node), event(kind, Severity::Info, Some(node), text));
        draft.records.nodes.change(&node, |node| node.drained = drained);
    }
    Ok((0, Vec::new()))
}

/// The running deployment of a stack, or a new one.
///
/// # Errors
/// The running one has failed, and goes back.
pub fn join_deployment(draft: &mut Draft, stack: &str, what: &str) -> Result<u64> {
    match draft.records.running(stack) {
        Some(running) if running.error.is_some() => {
            let why =
                format!("deployment {} of `{stack}` has failed and goes back; try again when it has ended", running.id);
            Err(Error::Refused(why))
        }
        Some(running) => {
            // It may end at the same time.
            let id = running.id;
            draft.records.deployments.confirm(&id);
            Ok(id)
        }
        None => {
            let deployment = draft.begin_deployment(stack, what);
            let name = stack.to_owned();
            let before = draft.records.stacks.get(&name).cloned();
            let releases = before.map(|before| before.releases).unwrap_or_default();
            let record = StackRecord { name: name.clone(), deployment, releases, coming: None };
            draft.records.stacks.put(name, record);
            Ok(deployment)
        }
    }
}

/// The rollout of a service that a deployment is about to change: the one under way goes on with what has failed in it.
fn rollout(draft: &Draft, service: &ServiceRecord, deployment: u64) -> RolloutRecord {
    let new = draft.rollout(deployment);
    let under_way = service.rollout.as_ref().filter(|old| old.deployment == deployment && old.failed.is_none());
    let (first_task, failures) = under_way.map_or((new.first_task, new.failures), |old| (old.first_task, old.failures));
    RolloutRecord { first_task, failures, ..new }
}

fn stack_of<'a>(records: &'a Workloads, stack: &str) -> Result<&'a StackRecord> {
    let found = records.stacks.get(&stack.to_owned());
    found.ok_or_else(|| Error::NotFound(format!("stack `{stack}` does not exist")))
}

pub(super) fn service_of<'a>(records: &'a Workloads, id: &ServiceId) -> Result<&'a ServiceRecord> {
    stack_of(records, &id.0)?;
    let found = records.services.get(id).filter(|service| !service.removed);
    found.ok_or_else(|| Error::NotFound(format!("stack `{}` has no service `{}`", id.0, id.1)))
}

/// One service, or all that stay.
fn chosen(draft: &Draft, stack: &str, service: &str) -> Result<Vec<ServiceId>> {
    if !service.is_empty() {
        let id = (stack.to_owned(), service.to_owned());
        service_of(&draft.records, &id)?;
        return Ok(vec![id]);
    }
    stack_of(&draft.records, stack)?;
    let staying: BTreeMap<ServiceId, bool> = draft
        .records
        .services_of(stack)
        .map(|service| ((service.stack.clone(), service.name.clone()), service.removed))
        .collect();
    Ok(staying.into_iter().filter(|(_, removed)| !removed).map(|(id, _)| id).collect())
}

pub(super) fn change(id: &ServiceId, change: &str, detail: String) -> WorkloadChange {
    WorkloadChange {
        stack: id.0.clone(),
        service: id.1.clone(),
        change: change.to_owned(),
        detail,
        ..WorkloadChange::default()
    }
}

#[cfg(test)]
#[path = "requests_test.rs"]
mod requests_test;
