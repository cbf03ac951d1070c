//! The scripts of this node, as the rest of the daemon holds them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use disco_runtime_js::cluster::{ProviderSpec, RepairOptions};
use disco_runtime_js::{Arg, CallOptions, Json, ScriptEngine, ScriptError};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::guard::{self, Guard};
use super::host;
use super::records::{self as script_records, FileRecord};
use crate::cluster::scripts::garbage::IdleBlobs;
use crate::node::Node;
use crate::records;

/// The scripts of this node. Clones are the same.
#[derive(Clone, Default)]
pub struct Scripts {
    inner: Arc<Inner>,
}

struct Inner {
    /// Made by the first script that there is to run.
    engine: Mutex<Option<ScriptEngine>>,
    /// Opened by the first script that there is to run.
    guard: OnceLock<Guard>,
    version: watch::Sender<Option<Arc<Version>>>,
    /// The version that does not load here, and why.
    broken: watch::Sender<Option<(String, ScriptError)>>,
    health: Mutex<Option<(bool, String)>>,
    /// The last failure of each hook, so that one that stays is told once.
    failures: Mutex<HashMap<&'static str, String>>,
    deploying: Mutex<Option<Deploying>>,
    commits: tokio::sync::Mutex<()>,
    idle_blobs: Mutex<IdleBlobs>,
}

/// A script version that this node has loaded.
#[derive(Debug)]
pub struct Version {
    /// `sha256:…`
    pub hash: String,
    /// Names of the exported functions.
    pub exports: Vec<String>,
    /// What `init` chose.
    pub provider: Option<ProviderSpec>,
    /// How lost nodes are replaced.
    pub repair: RepairOptions,
}

/// The deployment whose hook runs on this node.
#[derive(Clone, Debug)]
pub(super) struct Deploying {
    pub(super) id: u64,
    pub(super) files: Arc<Vec<FileRecord>>,
}

// === impl Version ===

impl Version {
    /// Whether the function is exported.
    #[must_use]
    pub fn has(&self, hook: &str) -> bool {
        self.exports.iter().any(|name| name == hook)
    }
}

// === impl Scripts ===

impl Default for Inner {
    fn default() -> Self {
        Self {
            engine: Mutex::default(),
            guard: OnceLock::new(),
            version: watch::Sender::new(None),
            broken: watch::Sender::new(None),
            health: Mutex::default(),
            failures: Mutex::default(),
            deploying: Mutex::default(),
            commits: tokio::sync::Mutex::default(),
            idle_blobs: Mutex::default(),
        }
    }
}

impl Scripts {
    /// Hash of the version that this node runs.
    #[must_use]
    pub fn current(&self) -> Option<String> {
        self.inner.version.borrow().as_ref().map(|version| version.hash.clone())
    }

    /// The version that this node runs, and every change of it.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<Option<Arc<Version>>> {
        self.inner.version.subscribe()
    }

    /// The version that this node could not load, with the reason, and every change of that.
    #[must_use]
    pub fn broken(&self) -> watch::Receiver<Option<(String, ScriptError)>> {
        self.inner.broken.subscribe()
    }

    /// What the health hook last said; `None` while there is no such hook.
    #[must_use]
    pub fn health(&self) -> Option<(bool, String)> {
        self.inner.health.lock().clone()
    }

    /// Keeps what the health hook said.
    pub fn set_health(&self, health: Option<(bool, String)>) {
        *self.inner.health.lock() = health;
    }

    /// The provider that `init` of `cluster.js` chose.
    #[must_use]
    pub fn provider_spec(&self) -> Option<records::ProviderSpec> {
        let version = self.inner.version.borrow();
        let provider = version.as_ref()?.provider.as_ref()?;
        let kind = serde_json::to_value(provider.kind).ok()?.as_str()?.to_owned();
        Some(records::ProviderSpec { kind, options: provider.options.clone() })
    }

    /// How lost nodes are replaced, as `init` of `cluster.js` said.
    #[must_use]
    pub fn repair(&self) -> RepairOptions {
        self.inner.version.borrow().as_ref().map(|version| version.repair).unwrap_or_default()
    }

    /// Calls an exported function of the version in use, unless it has ended this daemon before.
    ///
    /// # Errors
    /// See [`ScriptError`]; its code is `DISABLED` where the function is not run any more.
    pub async fn call(
        &self,
        node: &Node,
        hook: &str,
        args: Vec<Arg>,
        options: CallOptions,
    ) -> Result<Option<Json>, ScriptError> {
        let script = self.current().unwrap_or_default();
        let mut note = self.guard(node).enter(&script, hook)?;
        let engine = self.engine(node)?;
        let call = engine.call(hook, args, options);
        tokio::pin!(call);
        if let Ok(outcome) = tokio::time::timeout(guard::NOTED_FOR, &mut call).await {
            return outcome;
        }
        note.strike_out();
        call.await
    }

    /// The notes about hooks that run.
    pub(super) fn guard(&self, node: &Node) -> &Guard {
        self.inner.guard.get_or_init(|| Guard::open(node.home().path()))
    }

    /// Functions of the cluster's script that are not run on this node since they have ended the daemon.
    #[must_use]
    pub fn off(&self, node: &Node) -> Vec<String> {
        let Some(script) = node.raft().store().read(script_records::current) else { return Vec::new() };
        self.guard(node).off(&script.value.hash)
    }

    /// The daemon stops because it was told to: what still runs has not ended it.
    pub fn stopping(&self) {
        if let Some(guard) = self.inner.guard.get() {
            guard.close();
        }
    }

    /// The engine, which is started by the first use. To be called on the daemon's runtime.
    pub(super) fn engine(&self, node: &Node) -> Result<ScriptEngine, ScriptError> {
        let mut engine = self.inner.engine.lock();
        if let Some(engine) = &*engine {
            return Ok(engine.clone());
        }
        let started = ScriptEngine::start(host::engine_options(node))?;
        *engine = Some(started.clone());
        Ok(started)
    }

    pub(super) fn set_version(&self, version: Version) {
        self.inner.broken.send_replace(None);
        self.inner.version.send_replace(Some(Arc::new(version)));
    }

    pub(super) fn set_broken(&self, hash: String, error: ScriptError) {
        self.inner.broken.send_replace(Some((hash, error)));
    }

    /// True when this failure of the hook is another than its last one.
    pub(super) fn is_news(&self, hook: &'static str, failure: &str) -> bool {
        let last = self.inner.failures.lock().insert(hook, failure.to_owned());
        last.as_deref() != Some(failure)
    }

    /// The hook has done its work: the next failure is news.
    pub fn succeeded(&self, hook: &'static str) {
        self.inner.failures.lock().remove(hook);
    }

    /// Takes the only place for a deployment, or says which one has it.
    pub(super) fn begin_deployment(&self, deploying: Deploying) -> Result<DeploymentPlace, u64> {
        let mut place = self.inner.deploying.lock();
        match &*place {
            Some(other) => Err(other.id),
            None => {
                *place = Some(deploying);
                Ok(DeploymentPlace { scripts: self.clone() })
            }
        }
    }

    /// The deployment whose hook runs here.
    pub(super) fn deploying(&self) -> Option<Deploying> {
        self.inner.deploying.lock().clone()
    }

    /// Held from the look whether blobs are there to the write of a record that refers to them, and while unneeded ones are
    /// removed. Both are done by the leader alone, in its term, so this one lock keeps them apart.
    pub async fn commits(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.commits.lock().await
    }

    /// Since when blobs are idle, on the leader.
    pub fn idle_blobs<T>(&self, look: impl FnOnce(&mut IdleBlobs) -> T) -> T {
        look(&mut self.inner.idle_blobs.lock())
    }
}

/// The only place for a deployment, given back when dropped.
pub(super) struct DeploymentPlace {
    scripts: Scripts,
}

impl Drop for DeploymentPlace {
    fn drop(&mut self) {
        *self.scripts.inner.deploying.lock() = None;
    }
}
