//! Makes a stack have exactly the given versions of services: a deploy, or the return to an earlier release.

use std::collections::BTreeMap;

use disco_proto::v1::WorkloadChange;

use super::draft::Draft;
use super::jobs;
use super::recorded::Workloads;
use super::table::ServiceId;
use crate::cluster::{Error, Result};
use crate::records::{
    Copies, DeploymentState, Goal, GroupRecord, ReleaseRecord, ServiceRecord, ServiceSpec, StackRecord,
};

/// What a service shall be.
pub struct Target {
    /// How many copies.
    pub copies: Copies,
    /// Its version.
    pub version: Version,
}

/// A version of a service.
pub enum Version {
    /// One that may not exist yet.
    New {
        /// Equal for versions that do not differ.
        hash: String,
        /// What its tasks are.
        spec: Box<ServiceSpec>,
    },
    /// One that exists.
    Group(u64),
}

/// How a service differs from what it shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    Created,
    Updated,
    /// Other copies; those before.
    Scaled(Copies),
    /// The same, but it is stopped, or was never complete.
    Again,
    /// The same, and it is complete or on the way there.
    Unchanged,
}

/// Makes a stack have exactly these services. Returns the deployment that carries it out, 0 if nothing differs.
///
/// # Errors
/// A version does not exist.
pub fn carry_out(
    draft: &mut Draft,
    stack: &str,
    targets: BTreeMap<String, Target>,
    what: &str,
) -> Result<(u64, Vec<WorkloadChange>)> {
    let mut changes = Vec::new();
    let mut differences = BTreeMap::new();
    let running = draft.records.running(stack).map(|record| (record.id, record.error.is_some()));
    for (name, target) in &targets {
        let difference = difference(&draft.records, stack, name, target, running)?;
        let job = jobs::of_target(&draft.records, target).map(|job| jobs::describe(&job, draft.now.ms));
        changes.push(change(stack, name, target.copies, job, difference));
        differences.insert(name.clone(), difference);
    }
    let surplus = |service: &&ServiceRecord| !targets.contains_key(&service.name);
    let surplus: Vec<ServiceRecord> = draft.records.services_of(stack).filter(surplus).cloned().collect();
    for service in &surplus {
        let (stack, service) = (stack.to_owned(), service.name.clone());
        let change = "removed".to_owned();
        changes.push(WorkloadChange { stack, service, change, ..WorkloadChange::default() });
    }
    let same = differences.values().all(|difference| *difference == Difference::Unchanged);
    if same && surplus.iter().all(|service| service.removed) {
        // One that fails goes back, and does not carry it out.
        return Ok((running.filter(|(_, fails)| !fails).map_or(0, |(id, _)| id), changes));
    }
    let deployment = draft.begin_deployment(stack, what);
    if let Some((old, _)) = running {
        supersede(draft, old, format!("superseded by deployment {deployment}"));
    }
    for (name, target) in targets {
        let id = (stack.to_owned(), name);
        if jobs::of_target(&draft.records, &target).is_some() {
            jobs::ensure(draft, &id);
        }
        let settled = draft.records.services.get(&id).is_some_and(Workloads::is_settled);
        let is_complete = settled && differences.get(&id.1) == Some(&Difference::Unchanged);
        if !is_complete {
            begin(draft, id, target, deployment);
        }
    }
    for service in surplus {
        let id = (service.stack.clone(), service.name.clone());
        let ends = service.removed && draft.records.tasks_of(&id).all(|task| task.goal != Goal::Run);
        if ends {
            // Nothing of it is left that could wait for the others.
            continue;
        }
        let rollout = Some(draft.rollout(deployment));
        draft.records.services.put(id, ServiceRecord { removed: true, rollout, ..service });
    }
    let before = draft.records.stacks.get(&stack.to_owned()).cloned();
    let releases = before.map(|before| before.releases).unwrap_or_default();
    let record = StackRecord { name: stack.to_owned(), deployment, releases, coming: Some(deployment) };
    draft.records.stacks.put(stack.to_owned(), record);
    Ok((deployment, changes))
}

/// Ends a deployment that another request has taken the place of.
pub fn supersede(draft: &mut Draft, deployment: u64, by: String) {
    let failed = draft.records.deployments.get(&deployment).and_then(|record| record.error.clone());
    let error = failed.map_or_else(|| by.clone(), |error| format!("{error}; {by}"));
    draft.records.deployments.change(&deployment, |record| record.error = Some(error));
    draft.end_deployment(deployment, DeploymentState::Failed, None);
}

/// Starts the rollout of one service.
fn begin(draft: &mut Draft, id: ServiceId, target: Target, deployment: u64) {
    let before = draft.records.services.get(&id).cloned();
    let current = before.as_ref().and_then(|service| draft.records.groups.get(&service.group));
    let group = match target.version {
        Version::Group(group) => match current {
            // A restart has made another group of the same version.
            Some(current) if draft.records.groups.get(&group).is_some_and(|group| group.hash == current.hash) => {
                current.id
            }
            _ => group,
        },
        Version::New { hash, spec } => match current {
            Some(current) if current.hash == hash => current.id,
            _ => new_group(draft, &id, deployment, hash, *spec),
        },
    };
    let rollout = Some(draft.rollout(deployment));
    let (stack, name) = id.clone();
    let record = ServiceRecord {
        stack,
        name,
        copies: target.copies,
        group,
        settled: before.and_then(|before| before.settled),
        rollout,
        removed: false,
        stopped: false,
        unplaced: String::new(),
    };
    draft.records.services.put(id, record);
}

/// Records a version.
pub fn new_group(draft: &mut Draft, id: &ServiceId, deployment: u64, hash: String, spec: ServiceSpec) -> u64 {
    let group = draft.records.take_group();
    let (stack, service) = id.clone();
    draft.records.groups.put(group, GroupRecord { id: group, stack, service, deployment, hash, spec });
    group
}

fn difference(
    records: &Workloads,
    stack: &str,
    name: &str,
    target: &Target,
    running: Option<(u64, bool)>,
) -> Result<Difference> {
    let hash = match &target.version {
        Version::New { hash, .. } => hash.clone(),
        Version::Group(group) => {
            let missing = || Error::NotFound(format!("a version of service `{name}` was removed"));
            records.groups.get(group).ok_or_else(missing)?.hash.clone()
        }
    };
    let found = records.services.get(&(stack.to_owned(), name.to_owned())).filter(|service| !service.removed);
    let Some(service) = found else { return Ok(Difference::Created) };
    if records.groups.get(&service.group).is_none_or(|group| group.hash != hash) {
        return Ok(Difference::Updated);
    }
    if service.copies != target.copies {
        return Ok(Difference::Scaled(service.copies));
    }
    let is_under_way = service.rollout.as_ref().is_some_and(|rollout| {
        rollout.failed.is_none() && running.is_some_and(|(id, fails)| id == rollout.deployment && !fails)
    });
    let good = !service.stopped && (Workloads::is_settled(service) || is_under_way);
    Ok(if good { Difference::Unchanged } else { Difference::Again })
}

fn change(stack: &str, service: &str, copies: Copies, job: Option<String>, difference: Difference) -> WorkloadChange {
    let (change, detail) = match difference {
        Difference::Created => ("created", describe(copies)),
        Difference::Updated => ("updated", describe(copies)),
        Difference::Scaled(before) => ("scaled", format!("{}, was {}", describe(copies), describe(before))),
        Difference::Again => ("restarted", describe(copies)),
        Difference::Unchanged => ("unchanged", String::new()),
    };
    let detail = job.unwrap_or(detail);
    let (stack, service, change) = (stack.to_owned(), service.to_owned(), change.to_owned());
    WorkloadChange { stack, service, change, detail, ..WorkloadChange::default() }
}

/// A number of copies in words.
#[must_use]
pub fn describe(copies: Copies) -> String {
    match copies {
        Copies::Number(1) => "1 copy".to_owned(),
        Copies::Number(count) => format!("{count} copies"),
        Copies::EveryNode => "a copy on every node".to_owned(),
    }
}

/// The release to which a stack returns: the one that `to` made, or for 0 the last complete one before the current one.
///
/// # Errors
/// There is no such release.
pub fn release(records: &Workloads, stack: &str, to: u64) -> Result<ReleaseRecord> {
    let found = records.stacks.get(&stack.to_owned());
    let found = found.ok_or_else(|| Error::NotFound(format!("stack `{stack}` does not exist")))?;
    let chosen = match (to, found.releases.as_slice()) {
        (0, [.., before, last]) if records.running(stack).is_none() && is_now(records, stack, last) => Some(before),
        (0, [.., last]) if records.running(stack).is_some() || !is_now(records, stack, last) => Some(last),
        (0, _) => None,
        (to, releases) => releases.iter().find(|release| release.deployment == to),
    };
    chosen.cloned().ok_or_else(|| {
        let known: Vec<String> = found.releases.iter().map(|release| release.deployment.to_string()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::NotFound(match to {
            0 => format!("stack `{stack}` has no earlier release"),
            to => format!("stack `{stack}` has no release {to}; complete deployments: {known}"),
        })
    })
}

/// Whether the services are those of the release.
fn is_now(records: &Workloads, stack: &str, release: &ReleaseRecord) -> bool {
    let hash = |group: u64| records.groups.get(&group).map(|group| group.hash.as_str());
    let same = |service: &ServiceRecord| {
        release
            .services
            .get(&service.name)
            .is_some_and(|released| hash(released.group) == hash(service.group) && released.copies == service.copies)
    };
    let services: Vec<&ServiceRecord> = records.services_of(stack).filter(|service| !service.removed).collect();
    services.len() == release.services.len() && services.into_iter().all(same)
}
