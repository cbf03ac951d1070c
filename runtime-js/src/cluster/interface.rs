//! What the providers, `Cluster` and `Node` need from their host.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::types::{
    ClusterSpec, CommandOutput, CopyRequest, KeyPairPaths, MachineInfo, NodeInfo, ProviderInfo, ProviderSpec,
    RunRequest, ServiceChange, ServiceName,
};
use crate::HostError;

/// Makes providers and clusters for scripts.
#[async_trait]
pub trait ClusterHost: Send + Sync {
    /// `AwsProvider.init(…)` and its siblings: checks that it can work, with as little cost as possible.
    async fn init_provider(&self, spec: ProviderSpec) -> Result<ProviderInfo, HostError>;

    /// `new Cluster(…)`. A constructor cannot wait: this only checks and stores the options. Called on the script thread.
    fn define_cluster(&self, spec: ClusterSpec) -> Result<Arc<dyn ClusterHandle>, HostError>;

    /// Name of the cluster for hooks of a script without `init`. `None`: they fail.
    fn default_cluster(&self) -> Option<String> {
        None
    }
}

/// One cluster as a script holds it. Every method may be called again after any failure and then does only the missing steps. If
/// the script is cancelled, the call's future is dropped, and must support that.
#[async_trait]
pub trait ClusterHandle: Send + Sync {
    /// A quorum answers and every node is healthy.
    async fn healthy(&self) -> Result<bool, HostError>;
    /// The operator's SSH key pair, as paths in the project.
    async fn set_key_pair(&self, paths: KeyPairPaths) -> Result<(), HostError>;
    /// Starts the first machine; `options` as the script gave them (`image`, `instance_type`, …).
    async fn start_instance(&self, options: Json) -> Result<MachineInfo, HostError>;
    /// A static public address, if the provider supports it: it points to the leader, or to the node with this name.
    async fn attach_ip(&self, node: Option<String>) -> Result<Option<String>, HostError>;
    /// Installs over SSH and waits until the node answers.
    async fn ssh_install(&self) -> Result<(), HostError>;
    /// Waits until the cluster has `nodes` healthy nodes, or fewer if it shrinks.
    async fn scale(&self, nodes: u32) -> Result<(), HostError>;
    /// All members.
    async fn nodes(&self) -> Result<Vec<NodeInfo>, HostError>;
    /// The leader, if one is known.
    async fn leader(&self) -> Result<Option<NodeInfo>, HostError>;
    /// Deploys; `stack` is a path in the project, or nothing. Returns the deployment's record, with its `services` if it has
    /// some.
    async fn deploy(&self, stack: Json) -> Result<Json, HostError>;
    /// All deployments' records, newest first.
    async fn deployments(&self) -> Result<Vec<Json>, HostError>;
    /// A service, named `STACK/SERVICE` or by its own name where it is the only one; or nothing.
    async fn service(&self, name: &str) -> Result<Option<Json>, HostError>;
    /// Changes a service, and returns it once that is done.
    async fn change_service(&self, service: ServiceName, change: ServiceChange) -> Result<Json, HostError>;
    /// Returns a service once it has all its copies, all healthy, and nothing of it changes.
    async fn wait_healthy(&self, service: ServiceName, limit: Option<Duration>) -> Result<Json, HostError>;
    /// The latest events' records, oldest first.
    async fn events(&self) -> Result<Vec<Json>, HostError>;
    /// Ends the cluster and its machines.
    async fn destroy(&self) -> Result<(), HostError>;
    /// `node.run(…)`. A command that fails is a result; a command that could not be run is an error.
    async fn node_run(&self, node_id: u64, request: RunRequest) -> Result<CommandOutput, HostError>;
    /// `node.copy(…)`.
    async fn node_copy(&self, node_id: u64, request: CopyRequest) -> Result<(), HostError>;
}
