//! Ends of rollouts and of deployments.

use super::pass::Pass;
use super::service::{Mode, Situation};
use crate::cluster::workloads::table::ServiceId;
use crate::records::{
    DeploymentRecord, DeploymentState, RELEASES, ReleaseRecord, ReleasedService, ServiceRecord, Settled,
};

/// A service has its version and its number of copies.
pub(super) fn complete(pass: &mut Pass, id: &ServiceId, group: u64) {
    pass.draft.records.services.change(id, |service| {
        service.settled = Some(Settled { group: service.group, copies: service.copies });
        service.rollout = None;
    });
    // What is left of other versions is on lost nodes, or runs no more.
    super::apply::end_others(pass, id, group);
}

/// A job has its version as soon as that is recorded: runs of an earlier one go on to their end.
pub(super) fn job(pass: &mut Pass, situation: &Situation, group: u64) {
    let id = &situation.id;
    if situation.service.rollout.is_some() && !situation.service.removed {
        complete(pass, id, group);
    } else {
        super::apply::end_others(pass, id, group);
    }
    if !situation.service.unplaced.is_empty() {
        pass.draft.records.services.change(id, |service| service.unplaced = String::new());
    }
}

/// The version to which a service goes back does not become healthy either: its deployment ends, and the service goes on trying
/// to have it.
pub(super) fn give_up(pass: &mut Pass, id: &ServiceId, deployment: u64, why: &str) {
    pass.draft.records.services.change(id, |service| service.rollout = None);
    let runs = |record: &DeploymentRecord| record.state == DeploymentState::Running;
    let Some(record) = pass.records().deployments.get(&deployment).filter(|record| runs(record)) else { return };
    let error = record.error.clone().map_or_else(|| why.to_owned(), |error| format!("{error}; {why}"));
    pass.draft.records.deployments.change(&deployment, |record| record.error = Some(error));
    pass.draft.end_deployment(deployment, DeploymentState::Failed, None);
}

/// Rollouts of services of which nothing shall run.
pub(super) fn services(pass: &mut Pass, situations: &[Situation]) {
    for situation in situations.iter().filter(|situation| matches!(situation.mode, Mode::Ends(_))) {
        let id = &situation.id;
        let failed = situation.service.rollout.as_ref().is_some_and(|rollout| rollout.failed.is_some());
        // That of a removed service ends with its record.
        if failed && !situation.service.removed && pass.live(id).next().is_none() {
            pass.draft.records.services.change(id, |service| service.rollout = None);
        }
        if !situation.service.unplaced.is_empty() {
            pass.draft.records.services.change(id, |service| service.unplaced = String::new());
        }
        if situation.service.removed && pass.live(id).next().is_none() {
            pass.draft.records.services.remove(id);
        }
    }
}

/// Deployments whose services all have what they shall have.
pub(super) fn deployments(pass: &mut Pass) {
    let running = pass.records().deployments.values().filter(|record| record.state == DeploymentState::Running);
    let running: Vec<(u64, String)> = running.filter_map(|record| Some((record.id, record.stack.clone()?))).collect();
    for (id, stack) in running {
        let is_part =
            |service: &ServiceRecord| service.rollout.as_ref().is_some_and(|rollout| rollout.deployment == id);
        if pass.records().services_of(&stack).any(is_part) {
            continue;
        }
        let failed = pass.records().deployments.get(&id).is_some_and(|record| record.error.is_some());
        let found = pass.records().stacks.get(&stack);
        let (state, error) = match found.map(|stack| stack.releases.is_empty()) {
            None => (DeploymentState::Failed, Some("its stack does not exist".to_owned())),
            Some(true) if failed => (DeploymentState::Failed, None),
            Some(false) if failed => (DeploymentState::RolledBack, None),
            Some(_) => {
                release(pass, &stack, id);
                (DeploymentState::Succeeded, None)
            }
        };
        pass.draft.end_deployment(id, state, error);
    }
}

/// Records what the stack is now as a release: a new one after a deploy; else the last one has other copies, or tasks that were
/// restarted.
fn release(pass: &mut Pass, stack: &str, deployment: u64) {
    let staying = || pass.records().services_of(stack).filter(|service| !service.removed);
    if staying().any(|service| service.settled.is_none() && !service.stopped) {
        return;
    }
    // Of a service that was stopped in the middle, what was complete before.
    let released = |service: &ServiceRecord| {
        let settled = service.settled?;
        Some((service.name.clone(), ReleasedService { group: settled.group, copies: settled.copies }))
    };
    let services = staying().filter_map(released).collect();
    pass.draft.records.stacks.change(&stack.to_owned(), |record| {
        let is_new = record.coming.take().is_some_and(|coming| coming == deployment);
        match record.releases.last_mut().filter(|_| !is_new) {
            Some(last) => last.services = services,
            None => record.releases.push(ReleaseRecord { deployment, services }),
        }
        let surplus = record.releases.len().saturating_sub(RELEASES);
        record.releases.drain(..surplus);
    });
}
