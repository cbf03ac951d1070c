//! Tasks that every node runs for itself, independent of who leads: it reports, checks its health, and follows the
//! script version.

mod announcements;
mod backups;
mod certificate;
mod health;
mod report;
mod reporter;

use tokio_util::task::TaskTracker;

use crate::node::Node;
use crate::script::{self, Scripts};

/// Starts the node's own tasks. They end with the process.
pub fn spawn(node: &Node, scripts: &Scripts, tasks: &TaskTracker) {
    tasks.spawn(report::run(node.clone()));
    tasks.spawn(health::run(node.clone(), scripts.clone()));
    tasks.spawn(announcements::run(node.clone()));
    tasks.spawn(backups::run(node.clone()));
    script::spawn(node, scripts, tasks);
}
