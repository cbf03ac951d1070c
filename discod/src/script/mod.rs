//! The scripts of `cluster.js`: the version in use, its hooks, deployments.
//!
//! # Invariants
//! - Without a `cluster.js` there is no engine, no thread and no isolate; everything else works.
//! - The replicated store says which version is in use. Each node loads it; one that cannot keeps the version before and
//!   says so.
//! - A hook that throws or breaks a limit is an event with its place in the script. It never ends the node.
//! - A hook that ended the daemon all the same, twice, is not run any more until another version is there ([`HookGuard`](crate::local::HookGuard)). A version
//!   that ended who tried it is not tried by the next leader more often than that ([`trial`]).
//! - JavaScript runs on the engine's own thread; what it asks for is done on the daemon's runtime ([`host`]). Neither waits
//!   for the other except by awaiting.

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

/// Starts to follow the script version that the store names.
pub fn spawn(node: &Node, scripts: &Scripts, tasks: &TaskTracker) {
    tasks.spawn(loader::run(node.clone(), scripts.clone()));
    tasks.spawn(loader::tell_of_those_that_are_off(node.clone()));
}
