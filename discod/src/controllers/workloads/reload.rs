//! Tasks that get a changed secret or config by new files and a signal, instead of another task in their place.
//!
//! The leader makes them tasks of the new version, and their nodes replace the files. Until a node confirms that, the task does not
//! count as healthy, so the rollout waits for it, and one that does not get its files fails the version as any other failure does.

use super::pass::Pass;
use crate::cluster::workloads::values::can_reload;
use crate::records::{Goal, TaskRecord};

/// Makes the tasks of earlier versions tasks of the current one, where new files and a signal are all that this needs.
pub(super) fn carry_over(pass: &mut Pass) {
    let records = pass.records();
    let mut carried = Vec::new();
    for (id, service) in records.services.iter().filter(|(_, service)| !service.removed && !service.stopped) {
        let Some(group) = records.groups.get(&service.group).filter(|group| group.spec.reload.is_some()) else {
            continue;
        };
        for task in records.tasks_of(id).filter(|task| task.goal == Goal::Run && task.group != group.id) {
            let before = records.groups.get(&task.group);
            if before.is_some_and(|before| can_reload(before, group)) && !pass.is_gone(task) && !pass.is_complete(task)
            {
                carried.push((task.id, group.id));
            }
        }
    }
    for (task, group) in carried {
        pass.draft.records.tasks.change(&task, |task| task.group = group);
    }
}

/// Whether a task has the files of its version, as far as that may differ.
pub(super) fn has_files(pass: &Pass, task: &TaskRecord) -> bool {
    let group = pass.records().groups.get(&task.group);
    let reloads = group.is_some_and(|group| group.spec.reload.is_some() && !group.spec.values.is_empty());
    !reloads || pass.state(task).is_some_and(|state| state.applied == task.group)
}
