//! Tasks that have ended by themselves, whose drain time is over, or whose node was removed.

use serde_json::json;

use super::pass::{DRAIN_TIME, FAILED, Pass, millis};
use crate::records::{EventRecord, Goal, Severity, TaskRecord, TaskState, event, keys};

/// What becomes of a task.
enum End {
    Failed(String),
    Drained(String),
    NodeRemoved,
    /// Its drain time is over in so many milliseconds.
    Drains(u64),
}

/// Sets [`Goal::Stop`] for all of them.
pub(super) fn note(pass: &mut Pass) {
    let ended: Vec<(TaskRecord, End)> =
        pass.records().tasks.values().filter_map(|task| Some((task.clone(), end(pass, task)?))).collect();
    for (task, end) in ended {
        match end {
            End::Failed(reason) => {
                pass.set(task.id, Goal::Stop, &format!("{FAILED}: {reason}"));
                report(pass, &task, &reason);
            }
            End::Drained(why) => pass.set(task.id, Goal::Stop, &why),
            End::NodeRemoved => pass.set(task.id, Goal::Stop, "its node was removed"),
            End::Drains(ms) => pass.due_in(ms),
        }
    }
}

fn end(pass: &Pass, task: &TaskRecord) -> Option<End> {
    if task.run.is_some() || task.goal == Goal::Stop || pass.is_complete(task) {
        return None;
    }
    let state = pass.state(task);
    if let Some(state) =
        state.filter(|state| state.state == TaskState::Failed || (state.gone && task.goal == Goal::Run))
    {
        let reason = if state.reason.is_empty() { "it ended" } else { state.reason.as_str() };
        return Some(End::Failed(reason.to_owned()));
    }
    if pass.is_removed(task.node) {
        return Some(End::NodeRemoved);
    }
    if task.goal == Goal::Run {
        return None;
    }
    let rest = millis(DRAIN_TIME).saturating_sub(pass.goal_age(task));
    let is_over = rest == 0 || state.is_some_and(|state| state.gone);
    Some(if is_over { End::Drained(task.why.clone()) } else { End::Drains(rest) })
}

fn report(pass: &mut Pass, task: &TaskRecord, reason: &str) {
    let name = pass.records().nodes.get(&task.node).map_or_else(|| task.node.to_string(), |node| node.name.clone());
    let text = format!("task {} of `{}/{}` failed on {name}: {reason}", task.id, task.stack, task.service);
    let event = event("task.failed", Severity::Warning, Some(task.node), text);
    let data = Some(json!({ "task": task.id, "stack": task.stack, "service": task.service }));
    pass.draft.note(keys::task(task.id), EventRecord { data, ..event });
}
