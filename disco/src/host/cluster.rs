use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use disco_proto::v1::{CopyFileRequest, NodeStatus, RunCommandRequest};
use disco_provider::plan::{Action, Change};
use disco_runtime_js::{
    HostError, Json,
    cluster::{
        ClusterHandle, ClusterHost, ClusterSpec, CommandOutput, CopyRequest, KeyPairPaths, MachineInfo, NodeInfo,
        ProviderInfo, ProviderSpec, RunRequest, ServiceChange, ServiceName,
    },
    plan::{Plan, WouldRun},
};
use disco_store::typed::keys;
use sha2::{Digest, Sha256};

use super::{failures::Failures, planned::PlannedHandle, services};
use crate::{
    client::{Client, record},
    context::Context,
    deployment,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{Founder, Planning, Purpose, destroy, make_provider},
    project::Lock,
};

/// Default time limit of a command on a node.
const RUN_WITHIN: Duration = Duration::from_secs(60);
/// Bytes of a file in one message.
const PART: usize = 1 << 20;
/// Number of events that `cluster.events()` returns.
pub(super) const EVENTS: u32 = 100;

/// Creates the project's cluster for the script.
pub(super) struct ClientHost {
    context: Context,
    purpose: Purpose,
    /// Passed on to the founder.
    lock: Mutex<Option<Lock>>,
    failures: Failures,
    defined: Mutex<Option<Defined>>,
    /// Changes that a plan recorded before the script defined the cluster.
    early: Mutex<Vec<Change>>,
}

/// The cluster that the script has defined.
#[derive(Clone)]
enum Defined {
    /// What the script requests is done.
    Founder(Arc<Founder>),
    /// What the script requests is only recorded.
    Planning(Arc<Planning>),
}

impl ClientHost {
    pub(super) fn new(context: Context, purpose: Purpose, lock: Option<Lock>, failures: Failures) -> Self {
        let (defined, early) = (Mutex::default(), Mutex::default());
        Self { context, purpose, lock: Mutex::new(lock), failures, defined, early }
    }

    fn defined(&self) -> Outcome<Defined> {
        let defined = self.defined.lock().unwrap_or_else(PoisonError::into_inner).clone();
        defined.ok_or_else(|| Failure::usage("`init` did not call `new Cluster(…)`"))
    }

    pub(super) fn founder(&self) -> Outcome<Arc<Founder>> {
        Ok(match self.defined()? {
            Defined::Founder(founder) => founder,
            Defined::Planning(planning) => Arc::clone(planning.founder()),
        })
    }

    /// The plan of a script that was loaded for one.
    pub(super) fn planning(&self) -> Outcome<Arc<Planning>> {
        match self.defined()? {
            Defined::Planning(planning) => Ok(planning),
            Defined::Founder(_) => Err(Failure::failed("the script was not loaded for a plan")),
        }
    }

    /// Notes that the script changes the cluster.
    pub(super) fn begin(&self) {
        self.context.progress.begin();
    }

    /// Whether `init` may have used a placeholder for the result of a recorded command or request.
    pub(super) fn has_planned_early(&self) -> bool {
        !self.early.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn define(&self, spec: &ClusterSpec) -> Outcome<Defined> {
        let mut defined = self.defined.lock().unwrap_or_else(PoisonError::into_inner);
        if defined.is_some() {
            return Err(Failure::usage("a project has one cluster: `new Cluster(…)` was called twice"));
        }
        let new = if self.purpose == Purpose::Plan {
            let planning = Planning::new(&self.context, spec)?;
            let early = std::mem::take(&mut *self.early.lock().unwrap_or_else(PoisonError::into_inner));
            early.into_iter().for_each(|change| planning.record(change));
            Defined::Planning(Arc::new(planning))
        } else {
            let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
            Defined::Founder(Arc::new(Founder::new(&self.context, spec, self.purpose, lock)?))
        };
        Ok(defined.insert(new).clone())
    }
}

impl Plan for ClientHost {
    fn would_run(&self, what: WouldRun) {
        let change = Change::free(Action::Run, &what.kind, what.name, what.details);
        match self.planning() {
            Ok(planning) => planning.record(change),
            Err(_) => self.early.lock().unwrap_or_else(PoisonError::into_inner).push(change),
        }
    }
}

#[async_trait]
impl ClusterHost for ClientHost {
    async fn init_provider(&self, spec: ProviderSpec) -> Result<ProviderInfo, HostError> {
        let made = self.context.project().and_then(|project| make_provider(&project, &spec.name, &spec));
        made.map_err(|failure| self.failures.for_script(failure))?;
        Ok(ProviderInfo { kind: spec.kind, name: spec.name })
    }

    fn define_cluster(&self, spec: ClusterSpec) -> Result<Arc<dyn ClusterHandle>, HostError> {
        let defined = self.define(&spec).map_err(|failure| self.failures.for_script(failure))?;
        let (context, failures) = (self.context.clone(), self.failures.clone());
        Ok(match defined {
            Defined::Founder(founder) => Arc::new(Handle { founder, context, failures }),
            Defined::Planning(planning) => Arc::new(PlannedHandle::new(planning, context, failures)),
        })
    }
}

/// The script's `Cluster`: does what it requests. That of a plan is [`PlannedHandle`].
struct Handle {
    founder: Arc<Founder>,
    context: Context,
    failures: Failures,
}

impl Handle {
    fn for_script<T>(&self, outcome: Outcome<T>) -> Result<T, HostError> {
        outcome.map_err(|failure| self.failures.for_script(failure))
    }

    fn client(&self) -> Result<Client, HostError> {
        self.for_script(self.founder.existing())
    }

    /// What changes machines or the cluster: a question that is interrupted after it does not say that nothing was begun.
    fn begin(&self) {
        self.context.progress.begin();
    }

    async fn copy(&self, node_id: u64, request: &CopyRequest) -> Outcome<()> {
        let root = self.context.project()?.root().to_owned();
        let path = root.join(&request.path_in_project);
        let real = fs_err::canonicalize(&path)
            .map_err(|error| Failure::new(ExitStatus::NotFound, "cannot copy a project file").because(&error))?;
        if !real.starts_with(&root) {
            return Err(Failure::usage(format!("`{}` is outside of the project", request.path_in_project)));
        }
        let unreadable = |error: &std::io::Error| Failure::failed("cannot copy a project file").because(error);
        let content = bytes::Bytes::from(fs_err::read(&real).map_err(|error| unreadable(&error))?);
        let metadata = fs_err::metadata(&real).map_err(|error| unreadable(&error))?;
        let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777;
        let whole = CopyFileRequest {
            node_id,
            path: request.path_on_node.clone(),
            mode: request.mode.unwrap_or(mode),
            size: content.len() as u64,
            sha256: hex::encode(Sha256::digest(&content)),
            upload: uuid::Uuid::new_v4().to_string(),
            ..CopyFileRequest::default()
        };
        let client = self.founder.existing()?;
        let mut offset = 0;
        loop {
            let end = (offset + PART).min(content.len());
            let part = CopyFileRequest { data: content.slice(offset..end), offset: offset as u64, ..whole.clone() };
            client
                .call_within(RUN_WITHIN, |mut control| {
                    let part = part.clone();
                    async move { control.copy_file(part).await }
                })
                .await?;
            offset = end;
            if offset == content.len() {
                return Ok(());
            }
        }
    }

    async fn run(&self, node_id: u64, request: RunRequest) -> Outcome<CommandOutput> {
        let limit = request.timeout.unwrap_or(RUN_WITHIN);
        let timeout_ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        let run = RunCommandRequest { node_id, command: request.command, timeout_ms };
        // Not retried: a command may not be idempotent.
        let answer =
            self.founder.existing()?.call_once(|mut control| async move { control.run_command(run).await }).await?;
        if answer.timed_out {
            return Err(Failure::new(
                ExitStatus::TimedOut,
                format!("the command on node {node_id} took longer than {limit:?}"),
            ));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&answer.stdout), text(&answer.stderr));
        Ok(CommandOutput { code: answer.code, stdout, stderr, truncated: answer.truncated })
    }
}

#[async_trait]
impl ClusterHandle for Handle {
    async fn healthy(&self) -> Result<bool, HostError> {
        self.for_script(self.founder.healthy().await)
    }

    async fn set_key_pair(&self, paths: KeyPairPaths) -> Result<(), HostError> {
        self.begin();
        self.for_script(self.founder.set_key_pair(&paths).await)
    }

    async fn start_instance(&self, options: Json) -> Result<MachineInfo, HostError> {
        self.begin();
        self.for_script(self.founder.start_instance(options).await)
    }

    async fn attach_ip(&self, node: Option<String>) -> Result<Option<String>, HostError> {
        self.begin();
        self.for_script(self.founder.attach_ip(node.as_deref()).await)
    }

    async fn ssh_install(&self) -> Result<(), HostError> {
        self.begin();
        self.for_script(self.founder.ssh_install().await)
    }

    async fn scale(&self, nodes: u32) -> Result<(), HostError> {
        self.begin();
        self.for_script(self.founder.scale(nodes).await)
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, HostError> {
        let status = self.for_script(self.client()?.settled().await)?;
        Ok(status.nodes.into_iter().map(node_info).collect())
    }

    async fn leader(&self) -> Result<Option<NodeInfo>, HostError> {
        let status = self.for_script(self.client()?.settled().await)?;
        let leader = status.leader;
        Ok(status.nodes.into_iter().find(|node| node.id == leader).map(node_info))
    }

    async fn deploy(&self, stack: Json) -> Result<Json, HostError> {
        self.begin();
        let client = self.client()?;
        if let Some((source, loaded)) = self.for_script(services::stack(&self.context, &stack))? {
            return self.for_script(services::deploy(&client, &self.context, &source, &loaded).await);
        }
        let deployed = deployment::deploy(&client, &self.context, &deployment::Request::default()).await;
        let deployed = self.for_script(deployed)?;
        Ok(serde_json::json!({ "id": deployed.id, "result": deployed.result }))
    }

    async fn deployments(&self) -> Result<Vec<Json>, HostError> {
        let mut deployments = self.for_script(self.client()?.records(keys::DEPLOYMENTS).await)?;
        deployments.reverse();
        Ok(deployments)
    }

    async fn service(&self, name: &str) -> Result<Option<Json>, HostError> {
        self.for_script(services::get(&self.client()?, name).await)
    }

    async fn change_service(&self, service: ServiceName, change: ServiceChange) -> Result<Json, HostError> {
        self.begin();
        self.for_script(services::change_service(&self.client()?, &self.context, &service, change).await)
    }

    async fn wait_healthy(&self, service: ServiceName, limit: Option<Duration>) -> Result<Json, HostError> {
        self.for_script(services::wait_healthy(&self.client()?, &service, limit).await)
    }

    async fn events(&self) -> Result<Vec<Json>, HostError> {
        let newest = self.for_script(self.client()?.newest(keys::EVENTS, EVENTS).await)?;
        self.for_script(newest.kvs.iter().map(record).collect())
    }

    async fn destroy(&self) -> Result<(), HostError> {
        self.begin();
        self.for_script(self.founder.locked())?;
        self.for_script(destroy(&self.context, None, false).await.map(|_| ()))
    }

    async fn node_run(&self, node_id: u64, request: RunRequest) -> Result<CommandOutput, HostError> {
        self.begin();
        self.for_script(self.run(node_id, request).await)
    }

    async fn node_copy(&self, node_id: u64, request: CopyRequest) -> Result<(), HostError> {
        self.begin();
        self.for_script(self.copy(node_id, &request).await)
    }
}

pub(super) fn node_info(node: NodeStatus) -> NodeInfo {
    NodeInfo {
        id: node.id,
        name: node.name,
        address: node.address,
        role: node.role,
        healthy: node.healthy,
        labels: node.labels.into_iter().collect(),
    }
}
