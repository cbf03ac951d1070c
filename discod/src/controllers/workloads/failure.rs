//! A version that has failed: its stack goes back to what was complete before.
//!
//! The services of a stack belong together, so all that its deployment has changed goes back to the last release. Without a
//! release each service goes back to the version that it had, and what was never complete ends.

use super::pass::{FAILED, Pass};
use crate::cluster::workloads::table::ServiceId;
use crate::records::{DeploymentState, Goal, ReleaseRecord, RolloutRecord, ServiceRecord, Settled};

/// A service whose version has failed.
pub(super) struct Failed {
    pub id: ServiceId,
    pub why: String,
    /// Why a task of it had no node, if that was the reason.
    pub unplaced: Option<String>,
}

/// Begins the way back.
pub(super) fn fail(pass: &mut Pass, failed: &Failed) {
    let Some(service) = pass.records().services.get(&failed.id).cloned() else { return };
    // Another service of the same deployment may have failed in the same pass.
    let Some(rollout) = service.rollout.clone().filter(|rollout| rollout.failed.is_none()) else { return };
    let deployment = pass.records().deployments.get(&rollout.deployment);
    let runs = deployment.is_some_and(|deployment| deployment.state == DeploymentState::Running);
    let text = format!("service `{}`: {}", failed.id.1, failed.why);
    if runs {
        pass.draft.records.deployments.change(&rollout.deployment, |deployment| {
            deployment.error.get_or_insert_with(|| text.clone());
            if deployment.unplaced.is_none() {
                deployment.unplaced.clone_from(&failed.unplaced);
            }
        });
        pass.draft.records.stacks.change(&failed.id.0, |stack| {
            stack.coming = stack.coming.filter(|coming| *coming != rollout.deployment);
        });
    }
    let keeps = pass.records().groups.get(&service.group).is_some_and(|group| group.spec.update.keep_failed);
    if keeps {
        mark(pass, &failed.id, &failed.why);
        if runs {
            pass.draft.end_deployment(rollout.deployment, DeploymentState::Failed, None);
        }
        return;
    }
    end_what_failed(pass, &failed.id, service.group, rollout.first_task, &failed.why);
    if !runs {
        match service.settled {
            Some(settled) => go_back(pass, &failed.id, settled, rollout.deployment, &failed.why),
            None => mark(pass, &failed.id, &failed.why),
        }
        return;
    }
    let release = pass.records().stacks.get(&failed.id.0).and_then(|stack| stack.releases.last().cloned());
    for id in pass.draft.services_of(&failed.id.0) {
        let why = if id == failed.id { &failed.why } else { &text };
        go_back_with(pass, &id, rollout.deployment, release.as_ref(), why);
    }
}

/// One service of a stack that goes back.
fn go_back_with(pass: &mut Pass, id: &ServiceId, deployment: u64, release: Option<&ReleaseRecord>, why: &str) {
    let Some(service) = pass.records().services.get(id).cloned() else { return };
    let is_part = service.rollout.as_ref().is_some_and(|rollout| rollout.deployment == deployment);
    if service.removed {
        let before = match release {
            Some(release) => release.services.contains_key(&id.1),
            None => service.settled.is_some(),
        };
        if is_part && before {
            // It was to end after the others, and nothing of it has ended yet.
            pass.draft.records.services.change(id, |service| (service.removed, service.rollout) = (false, None));
        } else if is_part {
            // It ends all the same.
            pass.draft.records.services.change(id, |service| {
                service.rollout.iter_mut().for_each(|rollout| rollout.failed = Some(why.to_owned()));
            });
        }
        return;
    }
    let released = release.and_then(|release| release.services.get(&id.1));
    let released = released.map(|released| Settled { group: released.group, copies: released.copies });
    match released.or(service.settled.filter(|_| release.is_none())) {
        Some(before) if is_part || differs(&service, before) => go_back(pass, id, before, deployment, why),
        Some(_) => {}
        None if service.stopped && !is_part => {}
        None if release.is_some() => {
            // The stack had no such service.
            let rollout = RolloutRecord { failed: Some(why.to_owned()), ..pass.draft.rollout(deployment) };
            pass.draft
                .records
                .services
                .change(id, |service| (service.removed, service.rollout) = (true, Some(rollout)));
        }
        None if is_part => mark(pass, id, why),
        None => {}
    }
}

fn differs(service: &ServiceRecord, before: Settled) -> bool {
    service.group != before.group || service.copies != before.copies
}

fn go_back(pass: &mut Pass, id: &ServiceId, before: Settled, deployment: u64, why: &str) {
    let new = RolloutRecord { failed: Some(why.to_owned()), ..pass.draft.rollout(deployment) };
    pass.draft.records.services.change(id, |service| {
        (service.group, service.copies) = (before.group, before.copies);
        service.settled = Some(before);
        service.rollout = (!service.stopped).then_some(new);
        service.unplaced = String::new();
    });
}

fn mark(pass: &mut Pass, id: &ServiceId, why: &str) {
    pass.draft.records.services.change(id, |service| {
        service.unplaced = String::new();
        if let Some(rollout) = &mut service.rollout {
            rollout.failed = Some(why.to_owned());
            rollout.waits_for = String::new();
        }
    });
}

/// Ends the tasks of the version that do not work. They stay in the records for a while: their output may show why.
fn end_what_failed(pass: &mut Pass, id: &ServiceId, group: u64, first_task: u64, why: &str) {
    let bad = |task: &&crate::records::TaskRecord| {
        task.group == group && task.id >= first_task && task.goal == Goal::Run && !pass.is_healthy(task)
    };
    let tasks: Vec<u64> =
        pass.records().tasks_of(id).filter(bad).filter(|task| !pass.is_complete(task)).map(|task| task.id).collect();
    for task in tasks {
        pass.set(task, Goal::Stop, &format!("{FAILED}: {why}"));
    }
}
