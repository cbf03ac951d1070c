//! `Cluster` and `Node` of scripts, on a node.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use disco_proto::v1::{NodeStatus, RunCommandRequest, ScaleRequest, StatusRequest, StatusResponse};
use disco_provider::{ProviderContext, from_spec};
use disco_runtime_js::cluster::{
    ClusterHandle, ClusterHost, ClusterSpec, CommandOutput, CopyRequest, KeyPairPaths, MachineInfo, NodeInfo,
    ProviderInfo, ProviderSpec, RunRequest, ServiceChange, ServiceName,
};
use disco_runtime_js::{ErrorCode, HostError, Json};
use disco_store::prefix_range;
use futures_util::StreamExt;

use super::{copy, errors, services};
use crate::cluster::machines::scale;
use crate::cluster::nodes::{run, status};
use crate::node::Node;
use crate::peers::Hops;
use crate::records;

/// Number of events that `cluster.events()` returns.
const EVENTS: usize = 100;

/// Creates the objects that `init` of `cluster.js` requests.
pub(super) struct NodeHost {
    node: Node,
}

/// The cluster that this node is a member of.
struct NodeCluster {
    node: Node,
}

// === impl NodeHost ===

impl NodeHost {
    pub(super) fn new(node: Node) -> Self {
        Self { node }
    }
}

#[async_trait]
impl ClusterHost for NodeHost {
    async fn init_provider(&self, spec: ProviderSpec) -> Result<ProviderInfo, HostError> {
        let kind = serde_json::to_value(spec.kind).map_err(|error| HostError::from_error(&error))?;
        let context = ProviderContext {
            cluster_name: self.node.cluster_name().to_owned(),
            cluster_id: Some(self.node.cluster_id().to_string()),
            project_dir: None,
            local_dir: None,
            machine_executable: std::env::current_exe().map_err(|error| HostError::from_error(&error))?,
            known: Vec::new(),
        };
        from_spec(kind.as_str().unwrap_or_default(), &spec.options, &context)
            .map_err(|error| errors::provider(&error))?;
        Ok(ProviderInfo { kind: spec.kind, name: spec.name })
    }

    fn define_cluster(&self, spec: ClusterSpec) -> Result<Arc<dyn ClusterHandle>, HostError> {
        let own = self.node.cluster_name();
        if spec.name != own {
            let message =
                format!("`new Cluster` names `{}`, but this node is a member of the cluster `{own}`", spec.name);
            return Err(HostError::invalid(message));
        }
        spec.repair()?;
        Ok(Arc::new(NodeCluster { node: self.node.clone() }))
    }

    fn default_cluster(&self) -> Option<String> {
        Some(self.node.cluster_name().to_owned())
    }
}

// === impl NodeCluster ===

impl NodeCluster {
    async fn status(&self) -> Result<StatusResponse, HostError> {
        let status = status::status(&self.node, Hops::default(), StatusRequest { stale: false }).await;
        if status.stale {
            return Err(HostError::new("no leader answers").with_code(ErrorCode::Unavailable));
        }
        Ok(status)
    }

    /// All records with the prefix, after every write acknowledged before the call.
    async fn records(&self, prefix: &str) -> Result<Vec<Json>, HostError> {
        let range = self.node.read_when_led(&prefix_range(prefix)).await.map_err(errors::operation)?;
        let records = range.kvs.iter().map(|kv| serde_json::from_slice(&kv.value));
        records.collect::<Result<_, _>>().map_err(|error| HostError::from_error(&error))
    }
}

/// For the operator's script only: in the cluster, scaling does this.
fn for_client(what: &str) -> HostError {
    HostError::unsupported(format!(
        "`{what}` is for `client.js`; in the cluster `cluster.scale(n)` starts, installs and joins machines"
    ))
}

#[async_trait]
impl ClusterHandle for NodeCluster {
    async fn healthy(&self) -> Result<bool, HostError> {
        match self.status().await {
            Ok(status) => Ok(status.healthy),
            // A missing quorum is a valid answer here.
            Err(error) if error.code == ErrorCode::Unavailable => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn set_key_pair(&self, _: KeyPairPaths) -> Result<(), HostError> {
        Err(for_client("set_key_pair"))
    }

    async fn start_instance(&self, _: Json) -> Result<MachineInfo, HostError> {
        Err(for_client("start_instance"))
    }

    async fn attach_ip(&self, _: Option<String>) -> Result<Option<String>, HostError> {
        Err(for_client("attach_ip"))
    }

    async fn ssh_install(&self) -> Result<(), HostError> {
        Err(for_client("ssh_install"))
    }

    async fn scale(&self, nodes: u32) -> Result<(), HostError> {
        let request = ScaleRequest { nodes, ..ScaleRequest::default() };
        let mut steps = scale::scale(&self.node, Hops::default(), request).await.map_err(errors::operation)?;
        while let Some(step) = steps.next().await {
            step.map_err(errors::operation)?;
        }
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, HostError> {
        Ok(self.status().await?.nodes.into_iter().map(info).collect())
    }

    async fn leader(&self) -> Result<Option<NodeInfo>, HostError> {
        let status = self.status().await?;
        Ok(status.nodes.into_iter().find(|node| node.id == status.leader).map(info))
    }

    async fn deploy(&self, _: Json) -> Result<Json, HostError> {
        Err(HostError::unsupported(
            "`cluster.deploy` is for `client.js`, which has the project's files: a stack is deployed by `disco deploy -f FILE`, \
             and the hook `deploy` by `disco deploy`",
        ))
    }

    async fn deployments(&self) -> Result<Vec<Json>, HostError> {
        let mut deployments = self.records(records::keys::DEPLOYMENTS).await?;
        deployments.reverse();
        Ok(deployments)
    }

    async fn service(&self, name: &str) -> Result<Option<Json>, HostError> {
        services::get(&self.node, name).await
    }

    async fn change_service(&self, service: ServiceName, change: ServiceChange) -> Result<Json, HostError> {
        services::change(&self.node, &service, change).await
    }

    async fn wait_healthy(&self, service: ServiceName, limit: Option<Duration>) -> Result<Json, HostError> {
        services::wait_healthy(&self.node, &service, limit).await
    }

    async fn events(&self) -> Result<Vec<Json>, HostError> {
        let mut events = self.records(records::keys::EVENTS).await?;
        Ok(events.split_off(events.len().saturating_sub(EVENTS)))
    }

    async fn destroy(&self) -> Result<(), HostError> {
        Err(HostError::unsupported("only the operator can end a cluster: run `disco destroy`"))
    }

    async fn node_run(&self, node_id: u64, request: RunRequest) -> Result<CommandOutput, HostError> {
        let timeout_ms = request.timeout.map_or(0, |limit| u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).max(1));
        let message = RunCommandRequest { node_id, command: request.command, timeout_ms };
        let answer = run::command(&self.node, Hops::default(), message).await.map_err(errors::operation)?;
        if answer.timed_out {
            let limit = run::time_limit(timeout_ms).as_secs_f64();
            let message = format!("the command on node {node_id} did not end within {limit} s and was killed");
            return Err(HostError::new(message).with_code(ErrorCode::Timeout));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&answer.stdout), text(&answer.stderr));
        Ok(CommandOutput { code: answer.code, stdout, stderr, truncated: answer.truncated })
    }

    async fn node_copy(&self, node_id: u64, request: CopyRequest) -> Result<(), HostError> {
        copy::copy(&self.node, node_id, &request).await
    }
}

/// A member as scripts see it.
pub(super) fn info(node: NodeStatus) -> NodeInfo {
    NodeInfo {
        id: node.id,
        name: node.name,
        address: node.address,
        role: node.role,
        healthy: node.healthy,
        labels: node.labels.into_iter().collect(),
    }
}
