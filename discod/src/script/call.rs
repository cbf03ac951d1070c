//! The conditions for calling each hook of `cluster.js`.

use std::sync::Arc;
use std::time::Duration;

use disco_runtime_js::{CallOptions, Capabilities};

use super::console::HookConsole;

/// Time limit of `init` on a node.
const INIT: Duration = Duration::from_secs(10);
/// Time limit of `health` on a node.
pub const HEALTH: Duration = Duration::from_secs(5);
/// Time limit of the hook for one event.
const EVENT: Duration = Duration::from_secs(30);
/// Time limit of the hook for a lost node: the leader does nothing about the node until then.
const NODE_LOST: Duration = Duration::from_secs(30);

/// Time limit of the hook for one new task: all other tasks wait meanwhile.
const PLACE: Duration = Duration::from_secs(1);

/// A function that `cluster.js` may export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Chooses provider and defaults, on every node.
    Init,
    /// On the node that has become the leader.
    Leader,
    /// On every node, about itself.
    Health,
    /// On the leader, for a deployment.
    Deploy,
    /// On the leader, for each event.
    Event,
    /// On the leader, for each lost node.
    NodeLost,
    /// On the leader, for each new task.
    Place,
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
            Self::Place => "place",
        }
    }

    /// The hook's capabilities and time limit, and the target of its console. The caller sets signals.
    #[must_use]
    pub fn options(self) -> CallOptions {
        let options =
            CallOptions::new().capabilities(self.capabilities()).console(Arc::new(HookConsole::new(self.name())));
        match self {
            Self::Init => options.timeout(INIT),
            Self::Health => options.timeout(HEALTH),
            Self::Event => options.timeout(EVENT),
            Self::NodeLost => options.timeout(NODE_LOST),
            Self::Place => options.timeout(PLACE),
            // They end with the leadership.
            Self::Leader | Self::Deploy => options,
        }
    }

    /// No hook may ask questions, since nobody answers on a node; the rest depends on the hook's purpose.
    fn capabilities(self) -> Capabilities {
        match self {
            // A version is tried before it is accepted: the trial must change nothing.
            Self::Init | Self::Health => Capabilities::HEALTH,
            // A pure function of its arguments: the leader may ask again at any time.
            Self::Place => Capabilities::NONE,
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
        for hook in [Hook::Init, Hook::Health, Hook::Place] {
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
