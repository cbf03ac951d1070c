//! What an engine is started with.

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
    /// What scripts reach outside.
    pub hosts: Hosts,
    /// What scripts may use up.
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

/// The implementations behind the globals. What is absent fails with code `UNSUPPORTED` when a script uses it.
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
    /// What hears of what a call with [`Capabilities::PLAN`](crate::Capabilities) would do. Absent: it is not done all the same.
    pub plan: Option<Arc<dyn Plan>>,
}

impl Hosts {
    /// A console and nothing else.
    pub fn new(console: Arc<dyn Console>) -> Self {
        Self { console, prompt: None, cluster: None, kv: None, plan: None }
    }
}

/// What a script may use up. Each has a number: there is no "unlimited".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the engine's heap.
    pub heap_bytes: usize,
    /// Processor time that the script thread may run without going back to its event loop; time in which it is blocked counts too.
    pub cpu_without_yield: Duration,
    /// Bytes of the thread's stack; JavaScript may use a quarter of it. At least 4 MiB.
    pub stack_bytes: usize,
    /// Loads after which a new isolate replaces the old one, since each leaves a little memory behind.
    pub loads_per_isolate: u32,
    /// Bytes that `$` and `fetch` hold of one answer; more is an error (`fetch`) or cut off (`$`).
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

/// This process's environment, as far as `allow` lets a name through; values that are not UTF-8 are left out.
pub fn process_env(allow: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| allow(name))
        .collect()
}
