use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use disco_runtime_js::{
    Arg, CallOptions, EngineOptions, Hosts, Json, LoadOptions, Loaded, ModuleSource, ScriptEngine, process_env,
};

use super::{
    cluster::ClientHost, console::PrinterConsole, failures::Failures, keys::ClientKeys, prompt::TerminalPrompt,
    script_failure::with_failures,
};
use crate::{
    app::Context,
    error::{Failure, Outcome},
    founding::{Founder, Purpose},
    project::{CLIENT_SCRIPT, Lock},
};

/// `client.js`, loaded, its `init` run.
pub(crate) struct Script {
    engine: ScriptEngine,
    loaded: Loaded,
    host: Arc<ClientHost>,
    failures: Failures,
    declined: Arc<AtomicBool>,
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
            planning: purpose == Purpose::Plan,
            declined: Arc::clone(&declined),
        };
        let keys = ClientKeys::new(Arc::clone(&host), failures.clone());
        let hosts = Hosts {
            prompt: Some(Arc::new(prompt)),
            cluster: Some(Arc::clone(&host) as _),
            kv: Some(Arc::new(keys)),
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
        let load = LoadOptions { init: Some(CallOptions::new()), ..LoadOptions::default() };
        let loaded = engine.load(source, load).await.map_err(|error| with_failures(error, &failures))?;
        Ok(Self { engine, loaded, host, failures, declined })
    }

    /// The cluster that `init` returned.
    pub(crate) fn founder(&self) -> Outcome<Arc<Founder>> {
        if self.loaded.cluster.is_none() {
            return Err(Failure::usage(format!("`init` of `{CLIENT_SCRIPT}` does not return a `Cluster`"))
                .hint("end it with `return new Cluster({ name, provider })`"));
        }
        self.host.founder()
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
        let called = self.engine.call(function, arguments, CallOptions::new()).await;
        called.map_err(|error| with_failures(error, &self.failures))
    }

    /// The operator answered some question with no.
    pub(crate) fn declined(&self) -> bool {
        self.declined.load(Ordering::Relaxed)
    }
}
