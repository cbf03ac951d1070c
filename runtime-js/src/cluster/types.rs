//! Values that cross between scripts and the host.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::HostError;

/// Which provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// `AwsProvider`.
    Aws,
    /// `LocalProvider`.
    Local,
    /// `HostsProvider`.
    Hosts,
}

/// The arguments of `XProvider.init(…)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderSpec {
    /// Which class.
    pub kind: ProviderKind,
    /// The option `name`.
    pub name: String,
    /// All options as the script gave them, `name` among them.
    pub options: Json,
}

/// A checked provider, as the script sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderInfo {
    /// Which class.
    pub kind: ProviderKind,
    /// As in the specification.
    pub name: String,
}

/// The arguments of `new Cluster(…)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// The option `name`.
    pub name: String,
    /// How the provider was made; `None` for a cluster without a provider.
    pub provider: Option<ProviderSpec>,
    /// All other options as the script gave them.
    pub options: Json,
}

/// How lost nodes are replaced: the option `repair` of `new Cluster(…)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairOptions {
    /// Milliseconds for which a node may be silent or not healthy before it is lost.
    #[serde(default)]
    pub grace: Option<u64>,
    /// Milliseconds between two replacements.
    #[serde(default)]
    pub every: Option<u64>,
}

impl RepairOptions {
    /// The shortest grace period: with a shorter one a node that only restarts would count as lost.
    const SHORTEST_GRACE: Duration = Duration::from_secs(5);

    /// How long a node may be silent or not healthy.
    #[must_use]
    pub fn grace(&self) -> Option<Duration> {
        self.grace.map(Duration::from_millis)
    }

    /// The time between two replacements.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        self.every.map(Duration::from_millis)
    }
}

impl ClusterSpec {
    /// The option `repair`.
    ///
    /// # Errors
    /// Invalid options.
    pub fn repair(&self) -> Result<RepairOptions, HostError> {
        let given = self.options.get("repair").cloned().unwrap_or(Json::Object(Default::default()));
        let wrong = |why: String| HostError::invalid(format!("`repair` of `new Cluster`: {why}"));
        let repair: RepairOptions = serde_json::from_value(given).map_err(|error| wrong(error.to_string()))?;
        if repair.grace().is_some_and(|grace| grace < RepairOptions::SHORTEST_GRACE) {
            return Err(wrong(format!("`grace` is at least {} ms", RepairOptions::SHORTEST_GRACE.as_millis())));
        }
        Ok(repair)
    }
}

/// `{ private, public }` of `set_key_pair`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPairPaths {
    /// Path in the project.
    pub private: String,
    /// Path in the project.
    pub public: String,
}

/// A machine, as `start_instance` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineInfo {
    /// The provider's id.
    pub id: String,
    /// The display name.
    pub name: String,
    /// Its address, once known.
    pub address: Option<String>,
    /// `pending`, `running`, `stopping`, `stopped`, `terminated`.
    pub state: String,
}

/// A member, as a script's `Node` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Never reused for another node.
    pub id: u64,
    /// `<cluster>-<id>` unless chosen otherwise.
    pub name: String,
    /// `IP:PORT`, or the IP alone.
    pub address: String,
    /// `leader`, `voter` or `learner`.
    pub role: String,
    /// As the cluster sees it.
    pub healthy: bool,
    /// Set at the node's start.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A service by its names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServiceName {
    /// The stack.
    pub stack: String,
    /// Its name in the stack.
    pub name: String,
}

/// What a script changes about a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceChange {
    /// `service.scale(n)`.
    Scale(u32),
    /// `service.restart()`.
    Restart,
}

/// `node.run(command, { timeout })`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// Run by `sh -c`.
    pub command: String,
    /// None: the host's default.
    pub timeout: Option<Duration>,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOutput {
    /// Exit status; 128 + signal for one that was killed.
    pub code: i32,
    /// Invalid UTF-8 is replaced.
    pub stdout: String,
    /// Invalid UTF-8 is replaced.
    pub stderr: String,
    /// One of the outputs exceeded the limit: the rest was dropped.
    #[serde(default)]
    pub truncated: bool,
}

/// `node.copy(path_in_project, path_on_node, { mode })`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRequest {
    /// Relative to the project, normalised. The host refuses links that lead out of it.
    pub path_in_project: String,
    /// Absolute.
    pub path_on_node: String,
    /// Permission bits; None: those of the file in the project.
    pub mode: Option<u32>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn repair(options: Json) -> Result<RepairOptions, String> {
        let spec = ClusterSpec { name: "web".to_owned(), provider: None, options };
        spec.repair().map_err(|error| error.to_string())
    }

    #[test]
    fn how_lost_nodes_are_replaced_may_be_said() {
        assert_eq!(repair(json!({})), Ok(RepairOptions::default()));
        let said = repair(json!({ "repair": { "grace": 90_000, "every": 0 } })).unwrap();
        assert_eq!((said.grace(), said.every()), (Some(Duration::from_secs(90)), Some(Duration::ZERO)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for wrong in [
            json!({ "grace": "a minute" }),
            json!({ "grace": -1 }),
            json!({ "grace": 100 }),
            json!({ "graze": 9000 }),
            json!(60_000),
        ] {
            let refused = repair(json!({ "repair": wrong.clone() })).unwrap_err();
            assert!(refused.contains("`repair` of `new Cluster`"), "{wrong}: {refused}");
        }
    }
}
