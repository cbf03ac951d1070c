//! Hosts that record what scripts do, and short ways to start an engine.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "not an interface")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use disco_runtime_js::ask::Prompt;
use disco_runtime_js::cluster::*;
use disco_runtime_js::console::{Console, ConsoleLevel};
use disco_runtime_js::*;
use serde_json::json;

/// As the first line of `main` does.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(prepare_process);
}

/// A list that threads add to.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub fn add(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until a line satisfies `wanted`.
    pub async fn wait_for(&self, wanted: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while !self.all().iter().any(|line| line.contains(wanted)) {
            assert!(tokio::time::Instant::now() < deadline, "no `{wanted}` in {:?}", self.all());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Console for Record {
    fn write(&self, level: ConsoleLevel, text: &str) {
        self.add(match level {
            ConsoleLevel::Info => text.to_owned(),
            other => format!("{}: {text}", other.as_str()),
        });
    }
}

/// Answers with `answer`, or the default.
pub struct FakePrompt(pub Record, pub Json);

#[async_trait]
impl Prompt for FakePrompt {
    async fn ask(&self, question: &str, default: Option<Json>) -> Result<Json, HostError> {
        self.0.add(format!("ask {question} {default:?}"));
        Ok(if self.1.is_null() { default.unwrap_or_default() } else { self.1.clone() })
    }
}

/// Records calls; `healthy` is false until `scale`.
#[derive(Clone)]
pub struct FakeCluster {
    pub record: Record,
    /// Methods that fail, with the error.
    pub failures: Arc<Mutex<BTreeMap<String, HostError>>>,
    scaled: Arc<Mutex<u32>>,
}

impl FakeCluster {
    pub fn new(record: Record) -> Self {
        Self { record, failures: Arc::default(), scaled: Arc::default() }
    }

    fn note(&self, method: &str, text: String) -> Result<(), HostError> {
        self.record.add(format!("{method} {text}").trim_end().to_owned());
        match self.failures.lock().unwrap().get(method) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

pub fn node(id: u64) -> NodeInfo {
    NodeInfo {
        id,
        name: format!("web-{id}"),
        address: format!("10.0.0.{id}:5080"),
        role: if id == 1 { "leader" } else { "voter" }.into(),
        healthy: true,
        labels: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
    }
}

pub fn service(name: &str) -> Json {
    json!({ "stack": "shop", "name": name, "driver": "process", "desired": 1, "running": 1, "healthy": 1, "deployment": 7,
        "state": "complete", "waits_for": null, "unplaced": null, "failed": null, "address": null, "ports": [], "endpoints": [] })
}

#[async_trait]
impl ClusterHost for FakeCluster {
    async fn init_provider(&self, spec: ProviderSpec) -> Result<ProviderInfo, HostError> {
        self.note("init_provider", serde_json::to_string(&spec).unwrap())?;
        Ok(ProviderInfo { kind: spec.kind, name: spec.name })
    }

    fn define_cluster(&self, spec: ClusterSpec) -> Result<Arc<dyn ClusterHandle>, HostError> {
        self.note("define_cluster", spec.name)?;
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl ClusterHandle for FakeCluster {
    async fn healthy(&self) -> Result<bool, HostError> {
        self.note("healthy", String::new())?;
        Ok(*self.scaled.lock().unwrap() > 0)
    }
    async fn set_key_pair(&self, paths: KeyPairPaths) -> Result<(), HostError> {
        self.note("set_key_pair", format!("{} {}", paths.private, paths.public))
    }
    async fn start_instance(&self, options: Json) -> Result<MachineInfo, HostError> {
        self.note("start_instance", options.to_string())?;
        let address = Some("10.0.0.1".to_owned());
        Ok(MachineInfo { id: "i-1".into(), name: "web-1".into(), address, state: "running".into() })
    }
    async fn attach_ip(&self, node: Option<String>) -> Result<Option<String>, HostError> {
        self.note("attach_ip", node.unwrap_or_default())?;
        Ok(Some("203.0.113.1".into()))
    }
    async fn ssh_install(&self) -> Result<(), HostError> {
        self.note("ssh_install", String::new())
    }
    async fn scale(&self, nodes: u32) -> Result<(), HostError> {
        self.note("scale", nodes.to_string())?;
        *self.scaled.lock().unwrap() = nodes;
        Ok(())
    }
    async fn nodes(&self) -> Result<Vec<NodeInfo>, HostError> {
        self.note("nodes", String::new())?;
        Ok((1..=3).map(node).collect())
    }
    async fn leader(&self) -> Result<Option<NodeInfo>, HostError> {
        self.note("leader", String::new())?;
        Ok(Some(node(1)))
    }
    async fn deploy(&self, stack: Json) -> Result<Json, HostError> {
        self.note("deploy", stack.to_string())?;
        Ok(json!({ "id": 1, "services": [service("web")] }))
    }
    async fn deployments(&self) -> Result<Vec<Json>, HostError> {
        self.note("deployments", String::new())?;
        Ok(vec![json!({ "id": 1 })])
    }
    async fn change_service(&self, service: ServiceName, change: ServiceChange) -> Result<Json, HostError> {
        self.note("change_service", format!("{}/{} {change:?}", service.stack, service.name))?;
        let desired = if let ServiceChange::Scale(copies) = change { copies } else { 1 };
        Ok(json!({ "stack": service.stack, "name": service.name, "desired": desired }))
    }
    async fn wait_healthy(&self, service: ServiceName, limit: Option<Duration>) -> Result<Json, HostError> {
        self.note("wait_healthy", format!("{}/{} {limit:?}", service.stack, service.name))?;
        Ok(json!({ "stack": service.stack, "name": service.name, "healthy": 1 }))
    }
    async fn service(&self, name: &str) -> Result<Option<Json>, HostError> {
        self.note("service", name.to_owned())?;
        Ok((name == "web").then(|| service("web")))
    }
    async fn events(&self) -> Result<Vec<Json>, HostError> {
        self.note("events", String::new())?;
        Ok(vec![json!({ "kind": "node.joined" })])
    }
    async fn destroy(&self) -> Result<(), HostError> {
        self.note("destroy", String::new())
    }
    async fn node_run(&self, node_id: u64, request: RunRequest) -> Result<CommandOutput, HostError> {
        self.note("node_run", format!("{node_id} {} {:?}", request.command, request.timeout))?;
        if request.command == "forever" {
            std::future::pending::<()>().await;
        }
        Ok(CommandOutput { code: 0, stdout: "out\n".into(), stderr: String::new(), truncated: false })
    }
    async fn node_copy(&self, node_id: u64, request: CopyRequest) -> Result<(), HostError> {
        let CopyRequest { path_in_project, path_on_node, mode } = request;
        self.note("node_copy", format!("{node_id} {path_in_project} {path_on_node} {mode:?}"))
    }
}

/// An engine with recording hosts.
pub struct Bench {
    pub engine: ScriptEngine,
    pub console: Record,
    pub effects: Record,
    pub cluster: FakeCluster,
}

pub fn options(console: &Record, cluster: &FakeCluster) -> EngineOptions {
    let hosts = Hosts {
        prompt: Some(Arc::new(FakePrompt(cluster.record.clone(), json!(true)))),
        cluster: Some(Arc::new(cluster.clone())),
        ..Hosts::new(Arc::new(console.clone()))
    };
    let mut env = BTreeMap::from([("GREETING".to_owned(), "grüß dich".to_owned())]);
    env.extend(process_env(|name| name == "PATH"));
    EngineOptions { env, ..EngineOptions::new(hosts) }
}

pub fn bench() -> Bench {
    bench_with(|_| {})
}

pub fn bench_with(change: impl FnOnce(&mut EngineOptions)) -> Bench {
    prepare();
    let (console, effects) = (Record::default(), Record::default());
    let cluster = FakeCluster::new(effects.clone());
    let mut options = options(&console, &cluster);
    change(&mut options);
    Bench { engine: ScriptEngine::start(options).unwrap(), console, effects, cluster }
}

/// Files in memory, the first is the entry.
pub fn files(list: &[(&str, &str)]) -> ModuleSource {
    let map = list.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes()))).collect();
    ModuleSource::memory(list[0].0, map)
}

pub fn script(text: &str) -> ModuleSource {
    files(&[("cluster.js", text)])
}

pub fn with_init() -> LoadOptions {
    LoadOptions { init: Some(CallOptions::new()), check_only: false }
}

impl Bench {
    /// Loads a script without `init`.
    pub async fn load(&self, text: &str) {
        self.engine.load(script(text), LoadOptions::default()).await.unwrap();
    }

    pub async fn call(&self, hook: &str) -> Result<Option<Json>, ScriptError> {
        self.engine.call(hook, vec![], limited()).await
    }

    /// What the body of a function returns.
    pub async fn eval(&self, body: &str) -> Result<Json, ScriptError> {
        self.load(&format!("export async function main() {{\n{body}\n}}")).await;
        Ok(self.call("main").await?.unwrap_or_default())
    }
}

/// No test may hang.
pub fn limited() -> CallOptions {
    CallOptions::new().timeout(Duration::from_secs(20))
}

/// The seed's scripts, from the repository's sample project's history: they must run unchanged.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}
