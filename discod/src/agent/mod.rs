//! What every node does for itself, whoever leads: it reports, watches its health, follows the script version.

mod announcements;
mod backups;
mod certificate;
mod health;
mod report;

use tokio_util::task::TaskTracker;

pub use health::own_info;
pub use report::own_report;

use crate::node::Node;

/// Starts the node's own tasks. They end with the process.
pub fn spawn(node: &Node, tasks: &TaskTracker) {
    tasks.spawn(report::run(node.clone()));
    tasks.spawn(health::run(node.clone()));
    tasks.spawn(announcements::run(node.clone()));
    tasks.spawn(backups::run(node.clone()));
    crate::script::spawn(node, tasks);
}
