//! What is wrong with tasks of a deployment: noted while it runs, as failed tasks do not stay.

use std::collections::BTreeMap;

use disco_proto::v1::TaskOutputRequest;
use disco_store::typed::TaskState;

use super::{Catalogue, Task, output::read_output};
use crate::{client::Client, error::Failure};

/// Lines of a failed task that are shown.
const LINES: u32 = 10;
/// Tasks that are shown: the others of a version fail alike.
const MOST: usize = 2;

/// What was wrong with tasks, by their ids.
#[derive(Default)]
pub(super) struct Troubles(BTreeMap<u64, Trouble>);

struct Trouble {
    /// The task and its node.
    name: String,
    reason: String,
    restarts: u64,
    failed: bool,
    lines: Vec<String>,
}

impl Troubles {
    /// Notes the tasks of the deployment's versions that are in trouble, with their last lines.
    pub(super) async fn note(&mut self, client: &Client, catalogue: &Catalogue, deployment: u64, stack: &str) {
        // Those of a new version, and further copies of the one that there is.
        let own = |task: &&Task| {
            let rollout = catalogue.rollout_of(&task.record).filter(|rollout| rollout.deployment == deployment);
            task.record.stack == stack
                && task.record.run.is_none()
                && (deployment == 0
                    || catalogue.deployment_of(task.record.group) == Some(deployment)
                    || rollout.is_some_and(|rollout| rollout.first_task != 0 && task.record.id >= rollout.first_task))
        };
        for task in catalogue.tasks.iter().filter(own).filter(|task| is_in_trouble(task)) {
            let restarts = task.state.as_ref().map_or(0, |state| state.restarts);
            let known = self.0.get(&task.record.id);
            let news = known.is_none_or(|known| {
                known.reason != task.reason() || known.restarts != restarts || known.failed != task.has_failed()
            });
            if !news || (known.is_none() && self.0.len() >= MOST) {
                continue;
            }
            let request = TaskOutputRequest { task_id: task.record.id, lines: LINES, ..TaskOutputRequest::default() };
            // Without its output the reason is still worth showing.
            let lines = match read_output(client, request).await {
                Ok(parts) => parts.iter().map(|part| String::from_utf8_lossy(&part.line).into_owned()).collect(),
                Err(failure) => {
                    tracing::debug!(%failure, task = task.record.id, "cannot read a task's output");
                    known.map(|known| known.lines.clone()).unwrap_or_default()
                }
            };
            let trouble = Trouble {
                name: format!("`{}` on {}", task.name(), catalogue.node_name(task.record.node)),
                reason: task.reason().to_owned(),
                restarts,
                failed: task.has_failed(),
                lines,
            };
            self.0.insert(task.record.id, trouble);
        }
    }

    /// Adds the reasons and last lines as causes, those of failed tasks first.
    pub(super) fn explain(self, mut failure: Failure) -> Failure {
        let mut troubles: Vec<Trouble> = self.0.into_values().collect();
        troubles.sort_by_key(|trouble| !trouble.failed);
        for trouble in troubles {
            let mut text = match trouble.reason.as_str() {
                "" => format!("{} is not healthy", trouble.name),
                reason => format!("{}: {reason}", trouble.name),
            };
            if !trouble.lines.is_empty() {
                text.push_str("; its last lines:");
                for line in &trouble.lines {
                    text.push_str(&format!("\n  {}", line.trim_end()));
                }
            }
            failure = failure.cause(text);
        }
        failure
    }
}

/// It failed, was started again, or its probes fail.
fn is_in_trouble(task: &Task) -> bool {
    let Some(state) = &task.state else { return false };
    task.has_failed()
        || (!state.healthy && (state.restarts > 0 || (state.state == TaskState::Running && !state.reason.is_empty())))
}
