//! What is recorded of a task.

use disco_store::typed::{TaskState, TaskStateRecord};

use super::Actor;
use crate::clock;

impl Actor {
    /// Its state now.
    pub(super) fn record(&self, state: TaskState) -> TaskStateRecord {
        let last = self.last.as_ref();
        let end = last.and_then(|last| last.end.as_ref());
        // While it runs again: of the end before.
        let before = self.context.states.get(self.id());
        let before = before.as_ref().filter(|_| end.is_none());
        TaskStateRecord {
            id: self.id(),
            node: self.order.task.node,
            state,
            healthy: self.healthy,
            healthy_since: self.healthy_since.clone(),
            pid: last.filter(|last| last.end.is_none()).map_or(0, |last| last.pid),
            address: self.context.address.clone(),
            restarts: last.map_or(0, |last| last.number),
            exit_code: end.map_or_else(|| before.and_then(|state| state.exit_code), |end| end.code),
            signal: end.map_or_else(|| before.and_then(|state| state.signal.clone()), |end| end.signal.clone()),
            started_at: last.map(|last| clock::rfc3339_of(last.at_ms)),
            finished_at: end
                .map(|end| clock::rfc3339_of(end.at_ms))
                .or_else(|| before.and_then(|state| state.finished_at.clone())),
            reason: self.reason.clone(),
            refused: false,
            gone: false,
            applied: self.applied,
        }
    }
}
