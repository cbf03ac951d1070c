//! Loads versions of a script, one after the other, into the same isolate.

use std::rc::Rc;
use std::time::Duration;

use super::isolate::{HostArg, HostFunction};
use super::loader::module_name;
use super::state::{Current, Engine};
use super::strikes::Strikes;
use crate::cluster::ClusterSpec;
use crate::handle::{LoadOptions, Loaded};
use crate::{CallOptions, Capabilities, ModuleSource, ScriptError, ScriptErrorKind};

/// Time limit of a module's top level.
const EVALUATION_LIMIT: Duration = Duration::from_secs(60);

impl Engine {
    /// See [`ScriptEngine::load`](crate::ScriptEngine::load).
    pub(super) async fn load(
        self: &Rc<Self>,
        source: ModuleSource,
        options: LoadOptions,
    ) -> Result<Loaded, ScriptError> {
        let _loading = self.loading.lock().await;
        // Strikes of another version do not count for this one.
        *self.strikes() = Strikes::default();
        // Each version leaves some memory behind: after many of them a new isolate is made.
        if self.loads.get() >= self.shared.options.limits.loads_per_isolate {
            self.shared.calls.borrow_mut().fail_all(|_, _| {
                ScriptError::new(
                    ScriptErrorKind::Cancelled,
                    "the script engine was restarted after many script versions",
                )
            });
            self.drop_isolate();
        }
        let evaluated = self.evaluate(source, options.init).await;
        let loaded = evaluated.map(|(loaded, current)| {
            if !options.check_only {
                // The previous version ends now, unless calls of it are in progress.
                drop(self.current.replace(Some(current)));
            }
            loaded
        });
        self.forget_unused();
        loaded
    }

    /// Evaluates a version and runs its `init`.
    async fn evaluate(
        self: &Rc<Self>,
        source: ModuleSource,
        init: Option<CallOptions>,
    ) -> Result<(Loaded, Current), ScriptError> {
        let generation = self.ensure_isolate()?;
        let version = self.versions.get() + 1;
        self.versions.set(version);
        self.loads.set(self.loads.get() + 1);
        self.shared.versions.add(version, source.files.clone());

        let mut options = init.clone().unwrap_or_else(|| CallOptions::new().capabilities(Capabilities::NONE));
        options.timeout = Some(options.timeout.unwrap_or(EVALUATION_LIMIT));
        let name = module_name(version, &source.entry);
        let (exports, import) = self
            .run("import", version, options, std::future::pending(), |id, capabilities| {
                let args = [
                    HostArg::Number(version),
                    HostArg::Text(&name),
                    HostArg::Number(id),
                    HostArg::Number(capabilities),
                ];
                self.enter(HostFunction::Load, id, &args);
            })
            .await?;
        let exports: Vec<String> = serde_json::from_str(&exports).unwrap_or_default();

        // Effects that the version starts while it loads continue as long as it is in use.
        let mut scopes = vec![import];
        let mut cluster: Option<ClusterSpec> = None;
        if let Some(options) = init.clone().filter(|_| exports.iter().any(|name| name == "init")) {
            let (number, scope) = self
                .run("init", version, options, std::future::pending(), |id, capabilities| {
                    let args = [HostArg::Number(version), HostArg::Number(id), HostArg::Number(capabilities)];
                    self.enter(HostFunction::Init, id, &args);
                })
                .await
                .map_err(|error| init_error(error, &source))?;
            scopes.push(scope);
            cluster = number.parse().ok().and_then(|number| self.shared.cluster_spec(number));
        }
        let loaded = Loaded { exports: exports.clone(), cluster };
        Ok((loaded, Current { source, version, generation, exports, init, _scopes: Rc::new(scopes) }))
    }

    /// Drops versions that are no longer used.
    fn forget_unused(&self) {
        let current = self.current.borrow().as_ref().map(|current| current.version);
        let calls = &self.shared.calls;
        let gone = self.shared.versions.retain(|version| Some(version) == current || calls.borrow().uses(version));
        for version in gone {
            self.enter(HostFunction::Forget, 0, &[HostArg::Number(version)]);
        }
    }

    /// The current version, loaded again if its isolate is gone.
    pub(super) async fn current(self: &Rc<Self>) -> Result<Current, ScriptError> {
        let find = || {
            let current = self.current.borrow().clone();
            current.ok_or_else(|| ScriptError::new(ScriptErrorKind::NotFound, "no script is loaded"))
        };
        let is_alive = |current: &Current| {
            self.isolate.borrow().as_ref().is_some_and(|isolate| isolate.generation == current.generation)
        };
        let current = find()?;
        if is_alive(&current) {
            return Ok(current);
        }
        let _loading = self.loading.lock().await;
        // Another request may have loaded it meanwhile.
        let current = find()?;
        if is_alive(&current) {
            return Ok(current);
        }
        let evaluated = self.evaluate(current.source, current.init).await.map(|(_, current)| {
            drop(self.current.replace(Some(current.clone())));
            current
        });
        self.forget_unused();
        evaluated
    }
}

/// If `init` returns something else, the error is about the file, not a line.
fn init_error(mut error: ScriptError, source: &ModuleSource) -> ScriptError {
    if error.file.is_none() {
        error.file = Some(source.entry.clone());
    }
    error
}
