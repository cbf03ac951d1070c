use disco_store::typed::{DeploymentState, ServiceRecord, TaskState};

use super::super::{Task, word};
use super::{Explanation, Known, is_of_service, is_well, last_end, refusals};

/// Tasks that are listed.
const MOST: usize = 10;

/// Why a service is as it is.
pub(super) fn explain(stack: &str, name: &str, known: &Known) -> Explanation {
    let catalogue = &known.catalogue;
    let full = format!("{stack}/{name}");
    let Some(service) = catalogue.services.get(&(stack.to_owned(), name.to_owned())) else {
        let verdict = "does not exist any more".to_owned();
        return Explanation {
            kind: "service",
            name: full,
            verdict,
            next: vec!["disco services".to_owned()],
            ..Explanation::default()
        };
    };
    let tasks: Vec<&Task> = catalogue.tasks_of(stack, name).collect();
    let desired = catalogue.desired(service);
    let healthy = tasks.iter().filter(|task| task.is_healthy() && task.record.group == service.group).count() as u64;
    let (ok, verdict) = verdict(service, desired, healthy);
    let mut found = Explanation { kind: "service", name: full.clone(), ok, verdict, ..Explanation::default() };
    let nodes: Vec<String> = catalogue.nodes.values().map(|node| node.name.clone()).collect();
    found.nodes = refusals(name, &service.unplaced, &nodes);
    update(service, known, &mut found);
    let ill = |task: &&&Task| !is_well(task) && task.record.group == service.group;
    let mut worst: Vec<&Task> = tasks.iter().filter(ill).copied().collect();
    // What failed last says most.
    worst.sort_by_key(|task| (!task.has_failed(), std::cmp::Reverse(task.record.id)));
    for task in worst.iter().take(MOST) {
        let on = catalogue.node_name(task.record.node);
        let why = match (task.reason(), last_end(task)) {
            ("", None) => String::new(),
            ("", Some(end)) => format!(": {end}"),
            (reason, _) => format!(": {reason}"),
        };
        let restarts = task.state.as_ref().map_or(0, |state| state.restarts);
        let tried = if restarts == 0 { String::new() } else { format!(" after {restarts} restarts") };
        found.fact(&format!("task {}", task.name()), format!("{} on {on}{tried}{why}", word(task.state())));
    }
    if worst.len() > MOST {
        found.fact("tasks", format!("{} further ones are not healthy", worst.len() - MOST));
    }
    found.output_of = worst.iter().find(|task| task.state.is_some()).map(|task| task.record.id);
    found.events = known.events_about(|event| is_of_service(event, stack, name));
    found.next = next(service, &full, &worst, &found, known);
    found
}

/// Why a stack is as it is: its services, each in a line.
pub(super) fn explain_stack(stack: &str, known: &Known) -> Explanation {
    let services: Vec<Explanation> = known
        .catalogue
        .services
        .keys()
        .filter(|(own, _)| own == stack)
        .map(|(_, name)| explain(stack, name, known))
        .collect();
    let ill: Vec<&Explanation> = services.iter().filter(|service| !service.ok).collect();
    let verdict = match (services.len(), ill.len()) {
        (0, _) => "has no services".to_owned(),
        (all, 0) => format!("all {all} services are as they shall be"),
        (all, count) => format!("{count} of {all} services are not as they shall be"),
    };
    let mut found =
        Explanation { kind: "stack", name: stack.to_owned(), ok: ill.is_empty(), verdict, ..Explanation::default() };
    for service in &services {
        found.fact(&service.name, &service.verdict);
    }
    found.events = known.events_about(|event| event.data.as_ref().is_some_and(|data| data["stack"] == stack));
    found.next = match ill.first() {
        Some(service) => vec![format!("disco why {}", service.name)],
        None => vec![format!("disco services {stack}")],
    };
    found
}

fn verdict(service: &ServiceRecord, desired: u64, healthy: u64) -> (bool, String) {
    if service.removed {
        return (false, "is being removed".to_owned());
    }
    if service.stopped {
        return (false, "is stopped".to_owned());
    }
    let count = format!("{healthy} of {desired} tasks are healthy");
    let (ok, why) = match &service.rollout {
        _ if !service.unplaced.is_empty() => (false, "no node has a place for the others".to_owned()),
        Some(rollout) if rollout.failed.is_some() => (false, "its new version failed".to_owned()),
        Some(rollout) if !rollout.waits_for.is_empty() => {
            (false, format!("its update waits for {}", rollout.waits_for))
        }
        Some(_) => (false, "its update is under way".to_owned()),
        None => (healthy >= desired, String::new()),
    };
    (ok, if why.is_empty() { count } else { format!("{count}: {why}") })
}

/// What is known of its versions.
fn update(service: &ServiceRecord, known: &Known, found: &mut Explanation) {
    let deployment = known.catalogue.deployment_of(service.group);
    if let Some(deployment) = deployment {
        found.fact("version", format!("of deployment {deployment}"));
    }
    if let Some(rollout) = &service.rollout {
        let why = rollout.failed.as_ref().map_or_else(String::new, |why| format!(", failed: {why}"));
        let of = if rollout.deployment == 0 { String::new() } else { format!(" by deployment {}", rollout.deployment) };
        found.fact("update", format!("since {}{of}{why}", rollout.started_at));
        if !rollout.waits_for.is_empty() {
            found.fact("waits for", &rollout.waits_for);
        }
    }
    // The last one of the stack, if it failed.
    let latest = known.catalogue.stacks.get(&service.stack).map(|stack| stack.deployment);
    let Some(latest) = latest.and_then(|id| known.deployments.get(&id)) else { return };
    if matches!(latest.state, DeploymentState::Failed | DeploymentState::RolledBack) {
        let how = if latest.state == DeploymentState::Failed { "failed" } else { "failed and was rolled back" };
        let why = latest.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        found.fact("last deployment", format!("{} {how}{why}", latest.id));
    }
}

fn next(service: &ServiceRecord, full: &str, worst: &[&Task], found: &Explanation, known: &Known) -> Vec<String> {
    if service.stopped {
        return vec![format!("disco restart {full}")];
    }
    let mut next = Vec::new();
    let drained = known.catalogue.nodes.values().find(|node| node.drained);
    if !found.nodes.is_empty() {
        next.extend(drained.map(|node| format!("disco undrain {}", node.name)));
        next.push("disco nodes".to_owned());
    }
    if let Some(task) = worst.first() {
        next.push(format!("disco why {}", task.record.id));
        if matches!(task.state(), TaskState::Running | TaskState::Failed) {
            next.push(format!("disco logs {}", task.record.id));
        }
    }
    if next.is_empty() {
        let command = if found.ok { format!("disco logs -f {full}") } else { format!("disco ps {full}") };
        next.push(command);
    }
    next
}
