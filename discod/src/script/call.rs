//! The conditions under which each hook of `cluster.js` is called.

use std::sync::Arc;
use std::time::Duration;

use disco_runtime_js::{CallOptions, Capabilities};

use super::console::HookConsole;

/// How long `init` may take on a node.
const INIT: Duration = Duration::from_secs(10);
/// How long a node may think about its health.
pub const HEALTH: Duration = Duration::from_secs(5);
/// How long the hook may work on one event.
const EVENT: Duration = Duration::from_secs(30);
/// How long the hook may think about a node that is lost: nothing is done about it until then.
const NODE_LOST: Duration = Duration::from_secs(30);

/// A function that `cluster.js` may export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Chooses provider and defaults, on every node.
    Init,
    /// On the node that has become leader.
    Leader,
    /// On every node, about itself.
    Health,
    /// On the leader, for a deployment.
    Deploy,
    /// On the leader, for each event.
    Event,
    /// On the leader, for each node that is lost.
    NodeLost,
}

// === impl Hook ===

impl Hook {
    /// Name of the function.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Leader => "leader",
            Self::Health => "health",
            Self::Deploy => "deploy",
            Self::Event => "event",
            Self::NodeLost => "node_lost",
        }
    }

    /// What the hook may do, for how long, and where its console goes. Signals are the caller's.
    #[must_use]
    pub fn options(self) -> CallOptions {
        let options =
            CallOptions::new().capabilities(self.capabilities()).console(Arc::new(HookConsole::new(self.name())));
        match self {
            Self::Init => options.timeout(INIT),
            Self::Health => options.timeout(HEALTH),
            Self::Event => options.timeout(EVENT),
            Self::NodeLost => options.timeout(NODE_LOST),
            // They end with leadership.
            Self::Leader | Self::Deploy => options,
        }
    }

    /// Nobody can be asked on a node, so no hook may; the rest is what the hook is for.
    fn capabilities(self) -> Capabilities {
        match self {
            // A version is tried before it is accepted: that must change nothing.
            Self::Init | Self::Health => Capabilities::HEALTH,
            Self::Leader | Self::Deploy | Self::Event | Self::NodeLost => {
                Capabilities::HEALTH | Capabilities::CLOUD | Capabilities::KV_WRITE | Capabilities::NODES
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hooks_of_the_leader_change_anything() {
        for hook in [Hook::Init, Hook::Health] {
            let options = hook.options();
            for changing in [Capabilities::CLOUD, Capabilities::KV_WRITE, Capabilities::NODES] {
                assert!(!options.capabilities.contains(changing), "{hook:?}");
            }
            assert!(options.timeout.is_some(), "{hook:?}");
        }
        for hook in [Hook::Leader, Hook::Deploy, Hook::Event, Hook::NodeLost] {
            assert!(hook.options().capabilities.contains(Capabilities::NODES), "{hook:?}");
            assert!(!hook.options().capabilities.contains(Capabilities::ASK), "{hook:?}");
        }
    }
}
