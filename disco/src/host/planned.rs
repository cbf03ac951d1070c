//! The script's `Cluster` and `cluster.kv` in `disco plan`: they read what the real ones read, and record what those would change.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use disco_provider::plan::{self, Action, Change};
use disco_runtime_js::{
    HostError, Json,
    cluster::{
        ClusterHandle, CommandOutput, CopyRequest, KeyPairPaths, MachineInfo, NodeInfo, RunRequest, ServiceChange,
        ServiceName,
    },
    kv::{Kv, KvDeleted, KvEntry, KvEvent, KvOp, KvOpResult, KvPut, KvSelect, KvTxn, KvTxnResult, KvWatch},
};
use disco_store::typed::keys;

use super::{
    cluster::{ClientHost, EVENTS, node_info},
    failures::Failures,
    keys::ClientKeys,
    services,
};
use crate::{
    client::{Client, record},
    context::Context,
    error::Outcome,
    founding::Planning,
};

/// The script's `Cluster` in a plan.
pub(super) struct PlannedHandle {
    planning: Arc<Planning>,
    context: Context,
    failures: Failures,
}

impl PlannedHandle {
    pub(super) fn new(planning: Arc<Planning>, context: Context, failures: Failures) -> Self {
        Self { planning, context, failures }
    }

    fn for_script<T>(&self, outcome: Outcome<T>) -> Result<T, HostError> {
        outcome.map_err(|failure| self.failures.for_script(failure))
    }

    /// The real cluster, if no other one is planned.
    fn client(&self) -> Result<Option<Client>, HostError> {
        if self.planned_nodes()?.is_some() {
            return Ok(None);
        }
        self.for_script(self.planning.founder().existing()).map(Some)
    }

    fn planned_nodes(&self) -> Result<Option<Vec<NodeInfo>>, HostError> {
        self.for_script(self.planning.nodes())
    }

    /// The script would change something from here on.
    fn begin(&self) {
        self.context.progress.begin();
    }

    fn record(&self, change: Change) {
        self.begin();
        self.planning.record(change);
    }
}

#[async_trait]
impl ClusterHandle for PlannedHandle {
    async fn healthy(&self) -> Result<bool, HostError> {
        self.for_script(self.planning.healthy().await)
    }

    async fn set_key_pair(&self, paths: KeyPairPaths) -> Result<(), HostError> {
        self.begin();
        self.for_script(self.planning.founder().set_key_pair(&paths).await)
    }

    async fn start_instance(&self, options: Json) -> Result<MachineInfo, HostError> {
        self.begin();
        self.for_script(self.planning.start_instance(options).await)
    }

    async fn attach_ip(&self, node: Option<String>) -> Result<Option<String>, HostError> {
        self.begin();
        self.for_script(self.planning.attach_ip(node.as_deref()).await)?;
        Ok(None)
    }

    async fn ssh_install(&self) -> Result<(), HostError> {
        self.begin();
        self.for_script(self.planning.ssh_install().await)
    }

    async fn scale(&self, nodes: u32) -> Result<(), HostError> {
        self.begin();
        self.for_script(self.planning.scale(nodes).await)
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, HostError> {
        if let Some(nodes) = self.planned_nodes()? {
            return Ok(nodes);
        }
        let client = self.for_script(self.planning.founder().existing())?;
        let status = self.for_script(client.settled().await)?;
        Ok(status.nodes.into_iter().map(node_info).collect())
    }

    async fn leader(&self) -> Result<Option<NodeInfo>, HostError> {
        if let Some(nodes) = self.planned_nodes()? {
            return Ok(nodes.into_iter().next());
        }
        let client = self.for_script(self.planning.founder().existing())?;
        let status = self.for_script(client.settled().await)?;
        let leader = status.leader;
        Ok(status.nodes.into_iter().find(|node| node.id == leader).map(node_info))
    }

    async fn deploy(&self, stack: Json) -> Result<Json, HostError> {
        if let Some((_, loaded)) = self.for_script(services::stack(&self.context, &stack))? {
            let stack = loaded.stack.name;
            let names: Vec<String> = loaded.stack.services.keys().map(|name| format!("`{name}`")).collect();
            self.record(Change::free(Action::Create, "deployment", &stack, format!("services {}", names.join(", "))));
            return Ok(serde_json::json!({ "id": 0, "stack": stack, "state": "succeeded", "services": [] }));
        }
        self.record(Change::free(Action::Create, "deployment", "deploy", "the project's files are sent"));
        Ok(serde_json::json!({ "id": 0, "result": null }))
    }

    async fn deployments(&self) -> Result<Vec<Json>, HostError> {
        let Some(client) = self.client()? else { return Ok(Vec::new()) };
        let mut deployments = self.for_script(client.records(keys::DEPLOYMENTS).await)?;
        deployments.reverse();
        Ok(deployments)
    }

    async fn service(&self, name: &str) -> Result<Option<Json>, HostError> {
        let Some(client) = self.client()? else { return Ok(None) };
        self.for_script(services::get(&client, name).await)
    }

    async fn change_service(&self, service: ServiceName, change: ServiceChange) -> Result<Json, HostError> {
        let name = format!("{}/{}", service.stack, service.name);
        let details = match change {
            ServiceChange::Scale(copies) => format!("{copies} copies"),
            ServiceChange::Restart => "its tasks are replaced".to_owned(),
        };
        self.record(Change::free(Action::Change, "service", &name, details));
        // As it is now: the script has read it before.
        let Some(client) = self.client()? else { return Ok(Json::Null) };
        self.for_script(services::get(&client, &name).await).map(Option::unwrap_or_default)
    }

    async fn wait_healthy(&self, service: ServiceName, _: Option<Duration>) -> Result<Json, HostError> {
        let Some(client) = self.client()? else { return Ok(Json::Null) };
        let name = format!("{}/{}", service.stack, service.name);
        self.for_script(services::get(&client, &name).await).map(Option::unwrap_or_default)
    }

    async fn events(&self) -> Result<Vec<Json>, HostError> {
        let Some(client) = self.client()? else { return Ok(Vec::new()) };
        let newest = self.for_script(client.newest(keys::EVENTS, EVENTS).await)?;
        self.for_script(newest.kvs.iter().map(record).collect())
    }

    async fn destroy(&self) -> Result<(), HostError> {
        let name = self.planning.founder().name().to_owned();
        self.record(Change::free(Action::Delete, "cluster", name, "with all its machines"));
        Ok(())
    }

    async fn node_run(&self, node_id: u64, request: RunRequest) -> Result<CommandOutput, HostError> {
        self.record(Change::free(Action::Run, plan::COMMAND, request.command, format!("on node {node_id}")));
        Ok(CommandOutput { code: 0, stdout: String::new(), stderr: String::new(), truncated: false })
    }

    async fn node_copy(&self, node_id: u64, request: CopyRequest) -> Result<(), HostError> {
        let details = format!("is put on node {node_id} as `{}`", request.path_on_node);
        self.record(Change::free(Action::Change, plan::FILE, request.path_in_project, details));
        Ok(())
    }
}

/// `cluster.kv` in a plan.
pub(super) struct PlannedKeys {
    host: Arc<ClientHost>,
    /// For reads.
    real: ClientKeys,
    failures: Failures,
}

impl PlannedKeys {
    pub(super) fn new(host: Arc<ClientHost>, failures: Failures) -> Self {
        Self { real: ClientKeys::new(Arc::clone(&host), failures.clone()), host, failures }
    }

    fn for_script<T>(&self, outcome: Outcome<T>) -> Result<T, HostError> {
        outcome.map_err(|failure| self.failures.for_script(failure))
    }

    fn record(&self, action: Action, key: &[u8], details: &str) -> Result<(), HostError> {
        let planning = self.for_script(self.host.planning())?;
        planning.record(Change::free(action, "key", String::from_utf8_lossy(key), details));
        Ok(())
    }
}

#[async_trait]
impl Kv for PlannedKeys {
    async fn get(&self, select: KvSelect) -> Result<Vec<KvEntry>, HostError> {
        match self.for_script(self.host.planning().and_then(|planning| planning.nodes()))? {
            Some(_) => Ok(Vec::new()),
            None => self.real.get(select).await,
        }
    }

    async fn put(&self, put: KvPut) -> Result<i64, HostError> {
        self.record(Action::Change, &put.key, "is written")?;
        Ok(0)
    }

    async fn delete(&self, select: KvSelect) -> Result<KvDeleted, HostError> {
        let details = if select.prefix { "and all keys with this prefix" } else { "" };
        self.record(Action::Delete, &select.key, details)?;
        Ok(KvDeleted { revision: 0, deleted: 0 })
    }

    async fn txn(&self, txn: KvTxn) -> Result<KvTxnResult, HostError> {
        let writes = |op: &KvOp| !matches!(op, KvOp::Get(_));
        if !txn.success.iter().chain(&txn.failure).any(writes) {
            return self.real.txn(txn).await;
        }
        self.record(Action::Change, b"(transaction)", "writes keys")?;
        let answer = |op: &KvOp| match op {
            KvOp::Get(_) => KvOpResult::Get(Vec::new()),
            KvOp::Put(_) => KvOpResult::Put,
            KvOp::Delete(_) => KvOpResult::Delete(0),
        };
        let responses = txn.success.iter().map(answer).collect();
        Ok(KvTxnResult { succeeded: true, revision: 0, responses })
    }

    async fn watch(&self, _: KvSelect, _: i64) -> Result<Box<dyn KvWatch>, HostError> {
        self.for_script(self.host.planning())?.waits();
        Ok(Box::new(NoChanges))
    }
}

/// The watch in a plan: ends at once, since nothing changes.
struct NoChanges;

#[async_trait]
impl KvWatch for NoChanges {
    async fn next(&mut self) -> Result<Option<KvEvent>, HostError> {
        Ok(None)
    }
}
