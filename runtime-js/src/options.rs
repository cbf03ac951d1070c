//! Options of an engine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::ask::Prompt;
use crate::cluster::ClusterHost;
use crate::console::Console;
use crate::kv::Kv;
use crate::plan::Plan;

/// Settings of a [`ScriptEngine`](crate::ScriptEngine).
#[derive(Clone)]
pub struct EngineOptions {
    /// Name of the engine's thread, at most 15 bytes.
    pub name: String,
    /// The project folder: where commands (`$`) run. None: the process's own working directory.
    pub root: Option<PathBuf>,
    /// The implementations of the globals.
    pub hosts: Hosts,
    /// The limits of scripts.
    pub limits: Limits,
    /// The script's `env`, and the whole environment of its commands. See [`process_env`].
    pub env: BTreeMap<String, String>,
}

impl EngineOptions {
    /// Default limits, an empty `env`.
    pub fn new(hosts: Hosts) -> Self {
        Self { name: "script".into(), root: None, hosts, limits: Limits::default(), env: BTreeMap::new() }
    }
}

/// The implementations behind the globals. A missing one fails with code `UNSUPPORTED` when a script uses it.
#[derive(Clone)]
pub struct Hosts {
    /// Behind `console`.
    pub console: Arc<dyn Console>,
    /// Behind `ask`.
    pub prompt: Option<Arc<dyn Prompt>>,
    /// Behind the providers, `Cluster` and `Node`.
    pub cluster: Option<Arc<dyn ClusterHost>>,
    /// Behind `cluster.kv`.
    pub kv: Option<Arc<dyn Kv>>,
    /// Receives the actions that a call with [`Capabilities::PLAN`](crate::Capabilities) would perform. Without it they are not performed either.
    pub plan: Option<Arc<dyn Plan>>,
}

impl Hosts {
    /// Only a console.
    pub fn new(console: Arc<dyn Console>) -> Self {
        Self { console, prompt: None, cluster: None, kv: None, plan: None }
    }
}

/// The limits of a script. Each is a number: there is no "unlimited".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the engine's heap.
    pub heap_bytes: usize,
    /// Processor time that the script thread may run without returning to its event loop; time in which it is blocked counts too.
    pub cpu_without_yield: Duration,
    /// Bytes of the thread's stack; JavaScript may use a quarter of it. At least 4 MiB.
    pub stack_bytes: usize,
    /// Loads after which a new isolate replaces the old one, since each leaks some memory.
    pub loads_per_isolate: u32,
    /// The most bytes of one result of `$` and `fetch`; more is an error (`fetch`) or dropped (`$`).
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heap_bytes: 32 << 20,
            cpu_without_yield: Duration::from_secs(30),
            stack_bytes: 4 << 20,
            loads_per_isolate: 200,
            output_bytes: 1 << 20,
        }
    }
}

/// This process's environment variables whose names `allow` accepts; values that are not UTF-8 are omitted.
pub fn process_env(allow: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| allow(name))
        .collect()
}
