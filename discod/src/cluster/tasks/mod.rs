//! Tasks as clients see them: which node has one, what it has printed, and programs that run beside it.

pub mod folders;
mod lines;
mod output;
mod sessions;

use disco_store::typed::{TaskRecord, TaskStateRecord};

pub use output::output;
#[cfg(test)]
pub use output::{Part, send};
pub use sessions::{ExecPart, Session, Sessions, check, end, record, sessions};

use super::{Error, Result};
use crate::node::Node;
use crate::records::{self, keys};

/// The node of a task.
///
/// # Errors
/// The task does not exist.
pub async fn node_of(node: &Node, task: u64) -> Result<u64> {
    let find = || node.raft().store().read(|store| records::get::<TaskRecord>(store, &keys::task(task)));
    if let Some(found) = find() {
        return Ok(found.value.node);
    }
    // This node may lag behind the client's deployment.
    node.raft().read_barrier(node.raft().pace().election_timeout() * 6).await?;
    find().map(|found| found.value.node).ok_or_else(|| Error::NotFound(format!("task {task} does not exist")))
}

/// Whether nothing of a task runs any more, or the cluster has forgotten it.
fn is_over(node: &Node, task: u64) -> bool {
    node.raft().store().read(|store| {
        let forgotten = records::get::<TaskRecord>(store, &keys::task(task)).is_none();
        let state = records::get::<TaskStateRecord>(store, &keys::task_state(task));
        forgotten || state.is_some_and(|state| state.value.gone)
    })
}
