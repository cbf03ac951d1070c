use disco_store::typed::{Goal, TaskState};

use super::super::{Task, word};
use super::{Explanation, Known, is_of_service, is_well, last_end};

/// Why a task is as it is.
pub(super) fn explain(task: &Task, known: &Known) -> Explanation {
    let record = &task.record;
    let name = task.name();
    let (node_is_well, node) = known.node_condition(record.node);
    let mut found = Explanation {
        kind: "task",
        name: name.clone(),
        ok: is_well(task) && record.goal == Goal::Run,
        verdict: verdict(task, node_is_well),
        ..Explanation::default()
    };
    found.fact("task", record.id.to_string());
    found.fact("node", node);
    if record.goal != Goal::Run {
        let what = if record.goal == Goal::Drain { "it gets no new clients, and then ends" } else { "it shall end" };
        let why = if record.why.is_empty() { String::new() } else { format!(": {}", record.why) };
        found.fact("goal", format!("{what}, since {}{why}", record.since));
    }
    if let Some(state) = &task.state {
        if let Some(at) = &state.started_at {
            let tried = match state.restarts {
                0 => String::new(),
                1 => ", after 1 restart".to_owned(),
                count => format!(", after {count} restarts"),
            };
            found.fact("last start", format!("{at}{tried}"));
        }
        if let Some(since) = &state.healthy_since {
            found.fact("healthy since", since);
        }
        if state.state == TaskState::Running && !state.healthy && !state.reason.is_empty() {
            found.fact("last probe", &state.reason);
        }
        if state.refused {
            found.fact("refused", format!("by its node, another one may run it: {}", state.reason));
        }
    }
    if let Some(end) = last_end(task) {
        found.fact("last end", end);
    }
    version(task, known, &mut found);
    let is_ill = !is_well(task);
    found.output_of = (is_ill && task.state.is_some()).then_some(record.id);
    found.events = known.events_about(|event| {
        let of_task = event.data.as_ref().is_some_and(|data| data["task"] == record.id);
        let of_node = event.node == Some(record.node) && event.kind.starts_with("node.");
        of_task || of_node || (is_ill && is_of_service(event, &record.stack, &record.service))
    });
    found.next = next(task, node_is_well, known);
    found
}

fn verdict(task: &Task, node_is_well: bool) -> String {
    let reason = task.reason();
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match task.state() {
        TaskState::Running if task.is_healthy() => "runs and is healthy".to_owned(),
        TaskState::Running => format!("runs and is not healthy{because}"),
        TaskState::Pending if !node_is_well => "has not begun, as its node does not answer".to_owned(),
        TaskState::Pending => format!("has not begun{because}"),
        TaskState::Starting => format!("is being started{because}"),
        state => format!("is {}{because}", word(state)),
    }
}

fn version(task: &Task, known: &Known, found: &mut Explanation) {
    let record = &task.record;
    let service = known.catalogue.services.get(&(record.stack.clone(), record.service.clone()));
    let deployment = known.catalogue.deployment_of(record.group);
    let of = deployment.map_or_else(|| "unknown".to_owned(), |deployment| format!("of deployment {deployment}"));
    match service {
        Some(service) if service.group != record.group => {
            let new = known.catalogue.deployment_of(service.group);
            let new =
                new.map_or_else(String::new, |new| format!(", while the service shall have that of deployment {new}"));
            found.fact("version", format!("{of}{new}"));
        }
        _ => found.fact("version", of),
    }
    let Some(service) = service else { return };
    if service.stopped {
        found.fact("service", "stopped: a restart starts it");
    }
    if let Some(rollout) = &service.rollout {
        if let Some(why) = &rollout.failed {
            found.fact("update", format!("failed, and leads back to the previous version: {why}"));
        } else if !rollout.waits_for.is_empty() {
            found.fact("update", format!("since {}, waits for {}", rollout.started_at, rollout.waits_for));
        }
    }
}

fn next(task: &Task, node_is_well: bool, known: &Known) -> Vec<String> {
    let name = task.name();
    let id = task.record.id;
    if !node_is_well {
        return vec![format!("disco why {}", known.catalogue.node_name(task.record.node))];
    }
    match task.state() {
        TaskState::Running if task.is_healthy() => vec![format!("disco logs -f {name}")],
        TaskState::Running => vec![format!("disco logs {id}"), format!("disco exec {id} -- sh")],
        TaskState::Pending => vec![format!("disco why {}/{}", task.record.stack, task.record.service)],
        _ => vec![format!("disco logs {id}"), format!("disco why {}/{}", task.record.stack, task.record.service)],
    }
}
