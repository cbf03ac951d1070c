//! What scripts can access outside of the engine, on a node.
//!
//! The engine polls these operations on the runtime on which it was started, the daemon's own: no connection or child
//! process depends on the script thread. An operation is dropped when the script stops waiting for it.

mod cluster;
mod copy;
mod errors;
mod kv;
mod services;
mod watch;

use std::sync::Arc;

use disco_runtime_js::plan::{Plan, WouldRun};
use disco_runtime_js::{EngineOptions, Hosts, process_env};

use super::console::HookConsole;
use crate::node::Node;

/// The options of a node's engine.
pub(super) fn engine_options(node: &Node) -> EngineOptions {
    let hosts = Hosts {
        cluster: Some(Arc::new(cluster::NodeHost::new(node.clone()))),
        kv: Some(Arc::new(kv::NodeKv::new(node.clone()))),
        plan: Some(Arc::new(DryRun)),
        ..Hosts::new(Arc::new(HookConsole::new("cluster.js")))
    };
    EngineOptions { name: "script".to_owned(), env: process_env(visible), ..EngineOptions::new(hosts) }
}

/// Logs what a version that is only tried would do.
struct DryRun;

impl Plan for DryRun {
    fn would_run(&self, what: WouldRun) {
        tracing::info!(kind = what.kind, "a dry run of `cluster.js` would run `{}`", what.name);
    }
}

/// Scripts must not see the daemon's own settings.
fn visible(name: &str) -> bool {
    let own = name.starts_with("DISCOD_") || name.starts_with("DISCO_MACHINE_");
    !own
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn scripts_do_not_see_the_daemons_settings() {
        assert!(visible("PATH") && visible("AWS_PROFILE"));
        assert!(!visible("DISCOD_JOIN_TOKEN_FILE"));
    }
}
