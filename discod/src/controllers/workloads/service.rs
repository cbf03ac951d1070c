//! What each service needs now.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::pass::{FAILED, Pass};
use crate::cluster::workloads::table::ServiceId;
use crate::records::{DeploymentState, GroupRecord, RolloutRecord, ServiceRecord};

/// A service, and what is done with it.
pub(super) struct Situation {
    pub id: ServiceId,
    pub service: ServiceRecord,
    pub mode: Mode,
    /// Numbers of tasks of its version that have ended as they should.
    pub done: BTreeSet<u64>,
}

/// What is done with a service.
pub(super) enum Mode {
    /// All its tasks end; why.
    Ends(String),
    /// It keeps its copies.
    Keeps(Arc<GroupRecord>),
    /// It comes to its version and its number of copies.
    Rolls(Arc<GroupRecord>, RolloutRecord),
    /// It is a job: it has no copies.
    Job(Arc<GroupRecord>),
    /// Its version cannot be read: nothing is done.
    Unknown,
}

// === impl Situation ===

impl Situation {
    /// Its version, if tasks of it may start.
    pub fn group(&self) -> Option<&Arc<GroupRecord>> {
        match &self.mode {
            Mode::Keeps(group) | Mode::Rolls(group, _) => Some(group),
            Mode::Ends(_) | Mode::Job(_) | Mode::Unknown => None,
        }
    }
}

/// All services.
pub(super) fn all(pass: &Pass) -> Vec<Situation> {
    let of = |(id, service): (&ServiceId, &ServiceRecord)| {
        let complete = pass.records().tasks_of(id).filter(|task| task.group == service.group && pass.is_complete(task));
        let done = complete.map(|task| task.index).collect();
        Situation { id: id.clone(), service: service.clone(), mode: mode(pass, service), done }
    };
    pass.records().services.iter().map(of).collect()
}

fn mode(pass: &Pass, service: &ServiceRecord) -> Mode {
    if service.removed && !waits_for_others(pass, service) {
        return Mode::Ends("the service was removed".to_owned());
    }
    if service.stopped {
        return Mode::Ends("the service was stopped".to_owned());
    }
    let Some(group) = pass.records().groups.shared(&service.group) else { return Mode::Unknown };
    if group.spec.job.is_some() {
        return Mode::Job(group);
    }
    match &service.rollout {
        _ if service.removed => Mode::Keeps(group),
        Some(rollout) => match &rollout.failed {
            Some(why) if service.settled.is_none() && !group.spec.update.keep_failed => {
                Mode::Ends(format!("{FAILED}: {why}"))
            }
            _ => Mode::Rolls(group, rollout.clone()),
        },
        None if service.settled.is_none() => Mode::Ends("its version was never complete".to_owned()),
        None => Mode::Keeps(group),
    }
}

/// A service that a deployment removes stays until the others are complete: if one fails, it is still there.
fn waits_for_others(pass: &Pass, service: &ServiceRecord) -> bool {
    let Some(rollout) = service.rollout.as_ref().filter(|rollout| rollout.failed.is_none()) else { return false };
    let running = pass.records().deployments.get(&rollout.deployment);
    running.is_some_and(|record| record.state == DeploymentState::Running)
        && pass.records().services_of(&service.stack).any(|other| {
            let is_same = |other: &RolloutRecord| other.deployment == rollout.deployment;
            !other.removed && other.rollout.as_ref().is_some_and(is_same)
        })
}

/// Whether the failed version of a service stays as it is, until an operator decides.
pub(super) fn is_paused(service: &ServiceRecord, group: &GroupRecord, rollout: &RolloutRecord) -> bool {
    let is_settled = service.settled.is_some_and(|settled| settled.group == group.id);
    rollout.failed.is_some() && group.spec.update.keep_failed && !is_settled
}
