use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use disco_runtime_js::{
    Arg, CallOptions, Capabilities, EngineOptions, Hosts, Json, LoadOptions, Loaded, ModuleSource, ScriptEngine,
    kv::Kv, process_env,
};

use super::{
    cluster::ClientHost, console::PrinterConsole, failures::Failures, keys::ClientKeys, planned::PlannedKeys,
    prompt::TerminalPrompt, script_failure::with_failures,
};
use crate::{
    context::Context,
    error::{Failure, Outcome},
    founding::{Founder, Planning, Purpose},
    project::{CLIENT_SCRIPT, Lock},
};

/// `client.js`, loaded, after its `init` has run.
pub(crate) struct Script {
    engine: ScriptEngine,
    loaded: Loaded,
    host: Arc<ClientHost>,
    failures: Failures,
    declined: Arc<AtomicBool>,
    purpose: Purpose,
}

/// Time limit of a script in a plan: it does nothing, and so ends soon, unless it waits for an effect of something that was not done.
const PLANNED_WITHIN: Duration = Duration::from_secs(120);

/// The script's capabilities and time limit for this purpose.
fn call_options(purpose: Purpose) -> CallOptions {
    match purpose {
        Purpose::Plan => {
            CallOptions::new().capabilities(Capabilities::ALL | Capabilities::PLAN).timeout(PLANNED_WITHIN)
        }
        Purpose::Bootstrap | Purpose::Work => CallOptions::new(),
    }
}

impl Script {
    /// Loads the script and runs `init`.
    pub(crate) async fn load(context: &Context, purpose: Purpose, lock: Option<Lock>) -> Outcome<Self> {
        let project = context.project()?;
        project.client_script()?;
        let failures = Failures::default();
        let declined = Arc::new(AtomicBool::new(false));
        let host = Arc::new(ClientHost::new(context.clone(), purpose, lock, failures.clone()));
        let console = PrinterConsole { printer: context.printer.clone(), verbose: context.settings.verbose > 0 };
        let prompt = TerminalPrompt {
            context: context.clone(),
            failures: failures.clone(),
            asks: purpose != Purpose::Plan && !context.settings.yes,
            declined: Arc::clone(&declined),
        };
        let keys: Arc<dyn Kv> = match purpose {
            Purpose::Plan => Arc::new(PlannedKeys::new(Arc::clone(&host), failures.clone())),
            Purpose::Bootstrap | Purpose::Work => Arc::new(ClientKeys::new(Arc::clone(&host), failures.clone())),
        };
        let hosts = Hosts {
            prompt: Some(Arc::new(prompt)),
            cluster: Some(Arc::clone(&host) as _),
            kv: Some(keys),
            plan: Some(Arc::clone(&host) as _),
            ..Hosts::new(Arc::new(console))
        };
        let options = EngineOptions {
            root: Some(project.root().to_owned()),
            // The script is the operator's own, and runs as such.
            env: process_env(|_| true),
            ..EngineOptions::new(hosts)
        };
        let engine = ScriptEngine::start(options).map_err(|error| with_failures(error, &failures))?;
        let source = ModuleSource::directory(CLIENT_SCRIPT, project.root());
        let load = LoadOptions { init: Some(call_options(purpose)), ..LoadOptions::default() };
        let loaded = engine.load(source, load).await.map_err(|error| {
            let failure = with_failures(error, &failures);
            match host.has_planned_early() {
                true => failure.hint("commands and requests are not run in a plan: `init` used a placeholder result"),
                false => failure,
            }
        })?;
        Ok(Self { engine, loaded, host, failures, declined, purpose })
    }

    /// The cluster that `init` returned.
    pub(crate) fn founder(&self) -> Outcome<Arc<Founder>> {
        self.check_cluster()?;
        self.host.founder()
    }

    /// The plan of that cluster, if the script was loaded for one.
    pub(crate) fn planning(&self) -> Outcome<Arc<Planning>> {
        self.check_cluster()?;
        self.host.planning()
    }

    fn check_cluster(&self) -> Outcome<()> {
        if self.loaded.cluster.is_none() {
            return Err(Failure::usage(format!("`init` of `{CLIENT_SCRIPT}` does not return a `Cluster`"))
                .hint("end it with `return new Cluster({ name, provider })`"));
        }
        Ok(())
    }

    /// Functions that `disco do` can call.
    pub(crate) fn functions(&self) -> Vec<String> {
        self.loaded.exports.iter().filter(|name| !["init", "bootstrap"].contains(&name.as_str())).cloned().collect()
    }

    pub(crate) fn has(&self, function: &str) -> bool {
        self.loaded.has(function)
    }

    /// Calls an exported function with the cluster and these arguments.
    pub(crate) async fn call(&self, function: &str, arguments: Vec<Json>) -> Outcome<Option<Json>> {
        let arguments = std::iter::once(Arg::Cluster).chain(arguments.into_iter().map(Arg::Json)).collect();
        let called = self.engine.call(function, arguments, call_options(self.purpose)).await;
        called.map_err(|error| with_failures(error, &self.failures))
    }

    /// Calls an exported function for a plan, as far as it gets without anything being done.
    pub(crate) async fn plan(&self, function: &str) -> Outcome<()> {
        match self.call(function, Vec::new()).await {
            Ok(_) => Ok(()),
            Err(failure) => self.planning()?.ends_early(failure),
        }
    }

    /// Whether the operator answered a question with no.
    pub(crate) fn declined(&self) -> bool {
        self.declined.load(Ordering::Relaxed)
    }
}
