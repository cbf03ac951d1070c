//! A running task gets changed secrets and configs.

use std::sync::Arc;

use disco_store::typed::TaskState;
use tokio::time::Instant;

use super::{AGAIN, Actor};

impl Actor {
    /// Takes the version that the task shall have now. Only one that differs in versions of secrets and configs is ever another one.
    pub(super) fn follow_version(&mut self) {
        let shall_be = (self.context.look)(self.id()).map_or(self.order.group.id, |task| task.group);
        if shall_be != self.order.group.id
            && let Some(group) = (self.context.version)(shall_be)
        {
            self.order.task.group = shall_be;
            self.order.group = Arc::new(group);
        }
    }

    /// Whether the running task does not have the files of its version.
    pub(super) fn shall_reload(&mut self) -> bool {
        if self.order.group.spec.reload.is_none() || self.order.group.spec.values.is_empty() {
            return false;
        }
        self.follow_version();
        self.applied != self.order.group.id
    }

    /// Gives it these files, and its signal. Returns when that is to be tried again.
    pub(super) async fn reload(&mut self, number: u64) -> Instant {
        match self.context.driver.reload(&self.order, number).await {
            Ok(()) => {
                tracing::info!(
                    task = self.id(),
                    version = self.order.group.id,
                    "a task has changed secrets or configs"
                );
                self.applied = self.order.group.id;
                self.reason.clear();
            }
            Err(why) => {
                tracing::warn!(task = self.id(), why, "a task does not get its changed secrets or configs");
                self.reason = why;
            }
        }
        self.publish(TaskState::Running);
        Instant::now() + AGAIN
    }
}
