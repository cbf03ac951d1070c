//! Values that cross between scripts and the host.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

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

/// What `XProvider.init(…)` was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderSpec {
    /// Which class.
    pub kind: ProviderKind,
    /// The option `name`.
    pub name: String,
    /// All options as the script gave them, `name` among them.
    pub options: Json,
}

/// A provider that works, as the script sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderInfo {
    /// Which class.
    pub kind: ProviderKind,
    /// As in the specification.
    pub name: String,
}

/// What `new Cluster(…)` was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// The option `name`.
    pub name: String,
    /// How the provider was made; none where the cluster was given none.
    pub provider: Option<ProviderSpec>,
    /// All other options as the script gave them.
    pub options: Json,
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
pub struct InstanceInfo {
    /// The provider's id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where it is reached, once known.
    pub address: Option<String>,
    /// `pending`, `running`, `stopping`, `stopped`, `terminated`.
    pub state: String,
}

/// A member, as a script's `Node` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Never used again for another node.
    pub id: u64,
    /// `<cluster>-<id>` unless chosen otherwise.
    pub name: String,
    /// `IP:PORT`, or the IP alone.
    pub address: String,
    /// `leader`, `voter` or `learner`.
    pub role: String,
    /// As the cluster sees it.
    pub healthy: bool,
    /// Set when the node was started.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `node.run(command, { timeout })`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// Run by `sh -c`.
    pub command: String,
    /// None: the host's default.
    pub timeout: Option<Duration>,
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOutput {
    /// Exit status; 128 + signal for one that was killed.
    pub code: i32,
    /// Not UTF-8: replaced.
    pub stdout: String,
    /// Not UTF-8: replaced.
    pub stderr: String,
}

/// `node.copy(path_in_project, path_on_node, { mode })`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRequest {
    /// Relative to the project. The host refuses what leads out of it.
    pub path_in_project: String,
    /// Absolute.
    pub path_on_node: String,
    /// Permission bits; None: those of the file in the project.
    pub mode: Option<u32>,
}
