//! The scripts of `cluster.js`: the version in use, its hooks, deployments.
//!
//! # Invariants
//! - Without a `cluster.js` there is no engine, no thread and no isolate; everything else works.
//! - The replicated store names the version in use. Each node loads it; a node that cannot keeps the previous version
//!   and reports the error.
//! - A hook that throws or breaks a limit causes an event with its place in the script. It never ends the node.
//! - A hook that ended the daemon nevertheless, twice, is disabled until another version is in use
//!   ([`HookGuard`](crate::local::HookGuard)). A version that ended the leader that tried it is tried no more often
//!   than that by the next leaders ([`trial`]).
//! - JavaScript runs on the engine's own thread; its operations run on the daemon's runtime ([`host`]). Neither blocks
//!   the other.

mod call;
mod console;
mod deploying;
mod deployment;
mod engine;
mod failure;
mod host;
mod loader;
mod pushing;
mod trial;

pub use call::{HEALTH as HEALTH_LIMIT, Hook};
pub use deploying::deploy;
pub use deployment::abandon;
pub use engine::Scripts;
pub use failure::{FAILED, report, to_wire};
pub use pushing::push;

use tokio_util::task::TaskTracker;

pub use crate::cluster::scripts::{blobs, manifest, records};
pub use crate::local::Version;
use crate::node::Node;

/// Starts to follow the script version in the store.
pub fn spawn(node: &Node, scripts: &Scripts, tasks: &TaskTracker) {
    tasks.spawn(loader::run(node.clone(), scripts.clone()));
    tasks.spawn(loader::report_disabled_hooks(node.clone()));
}
