//! State of the scripts on this node. They run in [`crate::script`], which updates it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use disco_runtime_js::ScriptError;
use disco_runtime_js::cluster::{ProviderSpec, RepairOptions};
use disco_store::typed::{self, FileRecord};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::HookGuard;

/// The state. Clones share it.
#[derive(Clone)]
pub struct ScriptState {
    inner: Arc<Inner>,
}

struct Inner {
    data_dir: PathBuf,
    /// Opened when the first script runs.
    guard: OnceLock<HookGuard>,
    version: watch::Sender<Option<Arc<Version>>>,
    /// The version that does not load on this node, and why.
    broken: watch::Sender<Option<(String, ScriptError)>>,
    health: Mutex<Option<(bool, String)>>,
    /// The last failure of each hook, so that a repeated failure is reported once.
    failures: Mutex<HashMap<&'static str, String>>,
    deploying: Mutex<Option<Deploying>>,
    calls: watch::Sender<()>,
}

/// A script version that this node has loaded.
#[derive(Debug)]
pub struct Version {
    /// `sha256:…`
    pub hash: String,
    /// Names of the exported functions.
    pub exports: Vec<String>,
    /// The provider that `init` chose.
    pub provider: Option<ProviderSpec>,
    /// How lost nodes are replaced.
    pub repair: RepairOptions,
}

/// The deployment whose hook runs on this node.
#[derive(Clone, Debug)]
pub struct Deploying {
    /// Its number.
    pub id: u64,
    /// Its files.
    pub files: Arc<Vec<FileRecord>>,
}

// === impl Version ===

impl Version {
    /// Whether the function is exported.
    #[must_use]
    pub fn has(&self, hook: &str) -> bool {
        self.exports.iter().any(|name| name == hook)
    }
}

// === impl ScriptState ===

impl ScriptState {
    /// The state before any script is loaded.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        let inner = Inner {
            data_dir: data_dir.to_owned(),
            guard: OnceLock::new(),
            version: watch::Sender::new(None),
            broken: watch::Sender::new(None),
            health: Mutex::default(),
            failures: Mutex::default(),
            deploying: Mutex::default(),
            calls: watch::Sender::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The notes about running hooks.
    #[must_use]
    pub fn guard(&self) -> &HookGuard {
        self.inner.guard.get_or_init(|| HookGuard::open(&self.inner.data_dir))
    }

    /// Signals the end of a call, whose code is not needed until the next one.
    pub fn call_ended(&self) {
        self.inner.calls.send_replace(());
    }

    /// Ends of calls.
    #[must_use]
    pub fn ended_calls(&self) -> watch::Receiver<()> {
        self.inner.calls.subscribe()
    }

    /// The daemon shuts down cleanly: hooks that still run have not ended it.
    pub fn stopping(&self) {
        if let Some(guard) = self.inner.guard.get() {
            guard.close();
        }
    }

    /// Hash of the version that this node runs.
    #[must_use]
    pub fn current(&self) -> Option<String> {
        self.inner.version.borrow().as_ref().map(|version| version.hash.clone())
    }

    /// The version that this node runs, and its changes.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<Option<Arc<Version>>> {
        self.inner.version.subscribe()
    }

    /// The version that this node could not load, with the reason, and its changes.
    #[must_use]
    pub fn broken(&self) -> watch::Receiver<Option<(String, ScriptError)>> {
        self.inner.broken.subscribe()
    }

    /// The last verdict of the health hook; `None` without such a hook.
    #[must_use]
    pub fn health(&self) -> Option<(bool, String)> {
        self.inner.health.lock().clone()
    }

    /// Stores the verdict of the health hook.
    pub fn set_health(&self, health: Option<(bool, String)>) {
        *self.inner.health.lock() = health;
    }

    /// The provider that `init` of `cluster.js` chose.
    #[must_use]
    pub fn provider_spec(&self) -> Option<typed::ProviderRecord> {
        let version = self.inner.version.borrow();
        let provider = version.as_ref()?.provider.as_ref()?;
        let kind = serde_json::to_value(provider.kind).ok()?.as_str()?.to_owned();
        Some(typed::ProviderRecord { kind, options: provider.options.clone() })
    }

    /// How lost nodes are replaced, according to `init` of `cluster.js`.
    #[must_use]
    pub fn repair(&self) -> RepairOptions {
        self.inner.version.borrow().as_ref().map(|version| version.repair).unwrap_or_default()
    }

    /// Switches this node to the version.
    pub fn set_version(&self, version: Version) {
        self.inner.broken.send_replace(None);
        self.inner.version.send_replace(Some(Arc::new(version)));
    }

    /// Records that the version does not load on this node; the previous one remains in use.
    pub fn set_broken(&self, hash: String, error: ScriptError) {
        self.inner.broken.send_replace(Some((hash, error)));
    }

    /// True if this failure of the hook differs from its last one.
    pub fn is_news(&self, hook: &'static str, failure: &str) -> bool {
        let last = self.inner.failures.lock().insert(hook, failure.to_owned());
        last.as_deref() != Some(failure)
    }

    /// The hook succeeded: its next failure counts as new.
    pub fn succeeded(&self, hook: &'static str) {
        self.inner.failures.lock().remove(hook);
    }

    /// Takes the only slot for a deployment.
    ///
    /// # Errors
    /// The number of the deployment that holds the slot.
    pub fn begin_deployment(&self, deploying: Deploying) -> Result<DeploymentPlace, u64> {
        let mut place = self.inner.deploying.lock();
        match &*place {
            Some(other) => Err(other.id),
            None => {
                *place = Some(deploying);
                Ok(DeploymentPlace { scripts: self.clone() })
            }
        }
    }

    /// The deployment whose hook runs on this node.
    #[must_use]
    pub fn deploying(&self) -> Option<Deploying> {
        self.inner.deploying.lock().clone()
    }
}

/// The only slot for a deployment, released on drop.
pub struct DeploymentPlace {
    scripts: ScriptState,
}

impl Drop for DeploymentPlace {
    fn drop(&mut self) {
        *self.scripts.inner.deploying.lock() = None;
    }
}
