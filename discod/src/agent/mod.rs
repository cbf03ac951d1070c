//! Tasks that every node runs for itself, independent of who leads: it reports, checks its health, runs the
//! cluster's tasks, and follows the script version.

mod announcements;
mod artifacts;
mod backups;
mod certificate;
mod health;
mod metrics;
mod report;
mod reporter;
mod tasks;

use std::path::Path;

use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::cluster::tasks::Session;
use crate::node::Node;
use crate::script::{self, Scripts};

/// Ends all tasks of a data folder whose daemon does not run.
///
/// # Errors
/// A folder cannot be read, or a process cannot be killed.
pub fn end_tasks(data: &Path) -> anyhow::Result<()> {
    tasks::end_all(data)
}

/// Starts the node's own tasks. They end with the process. `sessions`: programs that clients run beside tasks.
pub fn spawn(node: &Node, scripts: &Scripts, sessions: mpsc::Receiver<Session>, tasks: &TaskTracker) {
    let (accepted, removed) = (watch::Sender::default(), watch::Sender::new(false));
    tasks.spawn(self::tasks::run(node.clone(), accepted.subscribe(), removed.subscribe(), sessions));
    tasks.spawn(report::run(node.clone(), accepted, removed));
    tasks.spawn(health::run(node.clone(), scripts.clone()));
    tasks.spawn(announcements::run(node.clone()));
    tasks.spawn(artifacts::run(node.clone()));
    tasks.spawn(backups::run(node.clone()));
    tasks.spawn(metrics::run(node.clone()));
    script::spawn(node, scripts, tasks);
}
