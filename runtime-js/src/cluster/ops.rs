//! What `cluster.js` calls.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deno_core::{OpState, op2};
use serde::Deserialize;

use super::path::in_project;
use super::{
    ClusterHandle, ClusterHost, ClusterSpec, CopyRequest, KeyPairPaths, ProviderSpec, RunRequest, ServiceChange,
    ServiceName,
};
use crate::engine::{OpError, Shared};
use crate::{HostError, Json};

fn host(shared: &Shared) -> Result<Arc<dyn ClusterHost>, HostError> {
    shared
        .options
        .hosts
        .cluster
        .clone()
        .ok_or_else(|| HostError::unsupported("providers and clusters are not available here"))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, HostError> {
    serde_json::from_str(text).map_err(|error| HostError::invalid(error.to_string()))
}

/// `spec` is a [`ProviderSpec`]; returns a [`ProviderInfo`](super::ProviderInfo).
#[op2]
#[string]
pub(crate) async fn op_provider_init(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[string] spec: String,
) -> Result<String, OpError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let host = host(&shared)?;
    let spec: ProviderSpec = parse(&spec)?;
    let info = shared.host(call, async move { host.init_provider(spec).await }).await?;
    Ok(serde_json::json!(info).to_string())
}

/// `spec` is a [`ClusterSpec`]; returns the cluster's number.
#[op2(fast)]
#[smi]
pub(crate) fn op_cluster_define(state: &mut OpState, #[string] spec: &str) -> Result<u32, OpError> {
    let shared = state.borrow::<Rc<Shared>>();
    let spec: ClusterSpec = parse(spec)?;
    let handle = host(shared)?.define_cluster(spec.clone())?;
    Ok(shared.add_cluster(spec, handle)?)
}

/// Name of the cluster for a script whose `init` made none; empty if there is none.
#[op2]
#[string]
pub(crate) fn op_cluster_default(state: &mut OpState) -> String {
    let shared = state.borrow::<Rc<Shared>>();
    shared.options.hosts.cluster.as_ref().and_then(|host| host.default_cluster()).unwrap_or_default()
}

/// A method of `Cluster` or `Node`: JSON in, JSON out.
#[op2]
#[string]
pub(crate) async fn op_cluster_call(
    state: Rc<RefCell<OpState>>,
    #[smi] call: u32,
    #[smi] cluster: u32,
    #[string] method: String,
    #[string] args: String,
) -> Result<String, OpError> {
    let shared = state.borrow().borrow::<Rc<Shared>>().clone();
    let cluster = shared.cluster(cluster)?;
    let result = shared.host(call, async move { dispatch(&*cluster, &method, &args).await }).await?;
    Ok(result.to_string())
}

/// Arguments of `node.run`; a negative time limit means no limit.
#[derive(Deserialize)]
struct RunArgs {
    node_id: u64,
    command: String,
    timeout_ms: f64,
}

/// Arguments of `node.copy`.
#[derive(Deserialize)]
struct CopyArgs {
    node_id: u64,
    path_in_project: String,
    path_on_node: String,
    mode: Option<u32>,
}

/// Arguments of `service.scale`.
#[derive(Deserialize)]
struct ScaleArgs {
    service: ServiceName,
    copies: u32,
}

/// Arguments of `service.wait_healthy`; a negative time limit means the host's own.
#[derive(Deserialize)]
struct WaitArgs {
    service: ServiceName,
    timeout_ms: f64,
}

fn limit(millis: f64) -> Option<Duration> {
    (millis >= 0.0).then(|| Duration::from_millis(millis as u64))
}

async fn dispatch(cluster: &dyn ClusterHandle, method: &str, args: &str) -> Result<Json, HostError> {
    let nothing = |()| Json::Null;
    Ok(match method {
        "healthy" => cluster.healthy().await?.into(),
        "set_key_pair" => nothing(cluster.set_key_pair(parse::<KeyPairPaths>(args)?).await?),
        "start_instance" => serde_json::json!(cluster.start_instance(parse(args)?).await?),
        "attach_ip" => cluster.attach_ip(parse(args)?).await?.into(),
        "ssh_install" => nothing(cluster.ssh_install().await?),
        "scale" => nothing(cluster.scale(parse(args)?).await?),
        "nodes" => serde_json::json!(cluster.nodes().await?),
        "leader" => serde_json::json!(cluster.leader().await?),
        "deploy" => cluster.deploy(parse(args)?).await?,
        "deployments" => cluster.deployments().await?.into(),
        "service" => cluster.service(&parse::<String>(args)?).await?.into(),
        "service.scale" => {
            let ScaleArgs { service, copies } = parse(args)?;
            cluster.change_service(service, ServiceChange::Scale(copies)).await?
        }
        "service.restart" => cluster.change_service(parse(args)?, ServiceChange::Restart).await?,
        "service.wait_healthy" => {
            let WaitArgs { service, timeout_ms } = parse(args)?;
            cluster.wait_healthy(service, limit(timeout_ms)).await?
        }
        "events" => cluster.events().await?.into(),
        "destroy" => nothing(cluster.destroy().await?),
        "node.run" => {
            let RunArgs { node_id, command, timeout_ms } = parse(args)?;
            let timeout = limit(timeout_ms);
            serde_json::json!(cluster.node_run(node_id, RunRequest { command, timeout }).await?)
        }
        "node.copy" => {
            let CopyArgs { node_id, path_in_project, path_on_node, mode } = parse(args)?;
            let path_in_project = in_project(&path_in_project)?;
            nothing(cluster.node_copy(node_id, CopyRequest { path_in_project, path_on_node, mode }).await?)
        }
        other => return Err(HostError::invalid(format!("a Cluster has no method `{other}`"))),
    })
}
