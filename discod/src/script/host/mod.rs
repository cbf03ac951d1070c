//! What scripts reach outside, on a node.
//!
//! The engine asks on its own thread. Whatever waits for something is done on the daemon's runtime ([`Daemon`]), so that no
//! connection or child process depends on the script thread; it ends when the script does not wait for it any more.

mod cluster;
mod copy;
mod errors;
mod kv;
mod watch;

use std::future::Future;
use std::sync::Arc;

use disco_runtime_js::{EngineOptions, HostError, Hosts, process_env};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::console::HookConsole;
use crate::node::Node;

/// This node, and the runtime on which the daemon does its work.
#[derive(Clone)]
struct Daemon {
    node: Node,
    runtime: Handle,
}

// === impl Daemon ===

impl Daemon {
    /// Does something on the daemon's runtime.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, HostError>> + Send + 'static,
    ) -> Result<T, HostError> {
        match AbortOnDropHandle::new(self.runtime.spawn(work)).await {
            Ok(result) => result,
            Err(error) => Err(HostError::new(format!("the daemon could not do it: {error}"))),
        }
    }
}

/// With what the engine of a node starts. To be called on the daemon's runtime.
pub(super) fn engine_options(node: &Node) -> EngineOptions {
    let daemon = Daemon { node: node.clone(), runtime: Handle::current() };
    let hosts = Hosts {
        cluster: Some(Arc::new(cluster::NodeHost::new(daemon.clone()))),
        kv: Some(Arc::new(kv::NodeKv::new(daemon))),
        ..Hosts::new(Arc::new(HookConsole::new("cluster.js")))
    };
    EngineOptions { name: "script".to_owned(), env: process_env(visible), ..EngineOptions::new(hosts) }
}

/// The daemon's own settings are none of the scripts' business.
fn visible(name: &str) -> bool {
    !name.starts_with("DISCOD_") && !name.starts_with("DISCO_MACHINE")
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
