//! The handle to the script thread for the rest of the program.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::Value as Json;
use tokio::sync::oneshot;

use crate::cluster::ClusterSpec;
use crate::engine::{self, Beginning, ScriptThread, SharedStrikes, Stuck};
use crate::{Arg, CallOptions, EngineOptions, ModuleSource, ScriptError, ScriptErrorKind};

/// The most abandoned threads that still live, before no further one is started: each may hold as much memory as a script is
/// allowed, and uses idle processor time.
const MAX_STUCK: usize = 2;

/// The script engine: one thread of its own, one isolate, one current script version.
///
/// Clones share the engine; it ends with the last of them. Nothing here blocks the caller's runtime. A thread that cannot be
/// interrupted in a script is abandoned and replaced by another one.
#[derive(Clone)]
pub struct ScriptEngine {
    inner: Arc<Inner>,
}

struct Inner {
    options: EngineOptions,
    strikes: SharedStrikes,
    threads: Mutex<Threads>,
}

struct Threads {
    /// The thread that takes requests.
    used: ScriptThread,
    /// The abandoned threads.
    stuck: Vec<Weak<()>>,
    /// The version in use, for the next thread.
    version: Option<(ModuleSource, Option<CallOptions>)>,
}

/// Options of [`ScriptEngine::load`].
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// Run the module's `init`, if it exports one, with these options.
    pub init: Option<CallOptions>,
    /// Only try the version: the one in use stays, whatever the result.
    pub check_only: bool,
}

/// A loaded version.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Names of the exported functions, sorted.
    pub exports: Vec<String>,
    /// The result of `init`, if it was run.
    pub cluster: Option<ClusterSpec>,
}

impl Loaded {
    /// Whether the function is exported.
    pub fn has(&self, hook: &str) -> bool {
        self.exports.iter().any(|name| name == hook)
    }
}

/// A request to the script thread.
pub(crate) enum Request {
    /// See [`ScriptEngine::load`].
    Load { source: ModuleSource, options: LoadOptions, reply: oneshot::Sender<Result<Loaded, ScriptError>> },
    /// See [`ScriptEngine::call`].
    Call {
        hook: String,
        args: Vec<Arg>,
        options: CallOptions,
        reply: oneshot::Sender<Result<Option<Json>, ScriptError>>,
    },
}

impl ScriptEngine {
    /// Starts the thread. The isolate itself is made by the first load.
    ///
    /// # Errors
    /// `Load` if no thread can be started.
    pub fn start(options: EngineOptions) -> Result<Self, ScriptError> {
        let strikes = SharedStrikes::default();
        let beginning = Beginning { options: options.clone(), strikes: strikes.clone(), version: None };
        let threads = Threads { used: engine::spawn(beginning)?, stuck: Vec::new(), version: None };
        Ok(Self { inner: Arc::new(Inner { options, strikes, threads: Mutex::new(threads) }) })
    }

    /// Evaluates a script version, runs its `init` if requested, and on success makes it the current one. On failure
    /// the previous version stays in use. Calls in progress are left alone: abort them by their signals.
    ///
    /// # Errors
    /// `Syntax`, `Load`, `NotFound`, or whatever evaluating and `init` ended with.
    pub async fn load(&self, source: ModuleSource, options: LoadOptions) -> Result<Loaded, ScriptError> {
        let used = (!options.check_only).then(|| (source.clone(), options.init.clone()));
        let (reply, result) = oneshot::channel();
        let loaded = self.send("import", Request::Load { source, options, reply }, result).await?;
        if let Some(used) = used {
            self.inner.threads().version = Some(used);
        }
        Ok(loaded)
    }

    /// Calls an exported function of the current version and waits for its promise. Calls may run concurrently.
    /// `None` is `undefined`. Dropping the future ends the call, as its time limit does.
    ///
    /// # Errors
    /// See [`ScriptErrorKind`]; `NotFound` if the version does not export it.
    pub async fn call(&self, hook: &str, args: Vec<Arg>, options: CallOptions) -> Result<Option<Json>, ScriptError> {
        let (reply, result) = oneshot::channel();
        self.send(hook, Request::Call { hook: hook.to_owned(), args, options, reply }, result).await
    }

    async fn send<T>(
        &self,
        hook: &str,
        request: Request,
        result: oneshot::Receiver<Result<T, ScriptError>>,
    ) -> Result<T, ScriptError> {
        let ScriptThread { requests, mut stuck, .. } = self.inner.thread()?;
        let answer = async {
            requests.send(request).await.map_err(|_| stopped())?;
            result.await.map_err(|_| stopped())?
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            Ok(found) = stuck.wait_for(Option::is_some) => Err(given_up(hook, found.as_ref())),
        }
    }
}

impl Inner {
    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread that takes requests; a new one, if it was abandoned.
    fn thread(&self) -> Result<ScriptThread, ScriptError> {
        let mut threads = self.threads();
        if threads.used.stuck.borrow().is_some() {
            let lives = threads.used.lives.clone();
            if !threads.stuck.iter().any(|other| other.ptr_eq(&lives)) {
                threads.stuck.push(lives);
            }
            threads.stuck.retain(|thread| thread.strong_count() > 0);
            if threads.stuck.len() > MAX_STUCK {
                let message = format!(
                    "no script can run: {} threads are still in scripts that cannot be interrupted; scripts run again when one of them \
                     returns, or when this process restarts",
                    threads.stuck.len()
                );
                return Err(ScriptError::new(ScriptErrorKind::CpuLimit, message));
            }
            let version = threads.version.clone();
            let (options, strikes) = (self.options.clone(), self.strikes.clone());
            threads.used = engine::spawn(Beginning { options, strikes, version })?;
        }
        Ok(threads.used.clone())
    }
}

/// The error of a call whose thread was abandoned.
fn given_up(hook: &str, stuck: Option<&Stuck>) -> ScriptError {
    let Some(Stuck { hook: guilty, reason }) = stuck else { return stopped() };
    match guilty {
        Some(guilty) if guilty != hook && !(hook == "import" && guilty == "init") => ScriptError::new(
            ScriptErrorKind::Cancelled,
            format!("the script engine was restarted because `{guilty}` {reason}"),
        ),
        _ => ScriptError::new(ScriptErrorKind::CpuLimit, format!("`{}` {reason}", guilty.as_deref().unwrap_or(hook))),
    }
}

fn stopped() -> ScriptError {
    ScriptError::new(ScriptErrorKind::Cancelled, "the script engine has stopped")
}
