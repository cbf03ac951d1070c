//! The handle by which the rest of the program speaks to the script thread.

use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};

use crate::cluster::ClusterSpec;
use crate::engine;
use crate::{Arg, CallOptions, EngineOptions, ModuleSource, ScriptError, ScriptErrorKind};

/// Requests that may wait for the script thread, which takes them at once unless a script is computing.
const REQUEST_QUEUE: usize = 64;

/// The script engine: one thread of its own, one isolate, one current script version.
///
/// Clones are the same engine; it ends with the last of them. Nothing here blocks the caller's runtime.
#[derive(Clone)]
pub struct ScriptEngine {
    requests: mpsc::Sender<Request>,
}

/// What [`ScriptEngine::load`] shall do besides evaluating the module.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// Run the module's `init`, if it exports one, under these conditions.
    pub init: Option<CallOptions>,
    /// Only try it: the version in use stays, whatever the result.
    pub check_only: bool,
}

/// A version that loads.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Names of the exported functions, sorted.
    pub exports: Vec<String>,
    /// What `init` returned, if it was run.
    pub cluster: Option<ClusterSpec>,
}

impl Loaded {
    /// Whether the function is exported.
    pub fn has(&self, hook: &str) -> bool {
        self.exports.iter().any(|name| name == hook)
    }
}

/// What the script thread is asked.
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
    /// `Load` when the system gives no thread.
    pub fn start(options: EngineOptions) -> Result<Self, ScriptError> {
        let (requests, receiver) = mpsc::channel(REQUEST_QUEUE);
        engine::spawn(options, receiver)?;
        Ok(Self { requests })
    }

    /// Evaluates a script version, runs its `init` if asked to, and on success makes it the current one. On failure
    /// the version before stays in use. Calls under way are left alone: abort them by their signals.
    ///
    /// # Errors
    /// `Syntax`, `Load`, `NotFound`, or whatever evaluating and `init` ended with.
    pub async fn load(&self, source: ModuleSource, options: LoadOptions) -> Result<Loaded, ScriptError> {
        let (reply, result) = oneshot::channel();
        self.send(Request::Load { source, options, reply }, result).await
    }

    /// Calls an exported function of the current version and waits for its promise. Many calls may be under way.
    /// `None` is `undefined`. Dropping the future ends the call as its time limit does.
    ///
    /// # Errors
    /// See [`ScriptErrorKind`]; `NotFound` when the version does not export it.
    pub async fn call(&self, hook: &str, args: Vec<Arg>, options: CallOptions) -> Result<Option<Json>, ScriptError> {
        let (reply, result) = oneshot::channel();
        self.send(Request::Call { hook: hook.to_owned(), args, options, reply }, result).await
    }

    async fn send<T>(
        &self,
        request: Request,
        result: oneshot::Receiver<Result<T, ScriptError>>,
    ) -> Result<T, ScriptError> {
        self.requests.send(request).await.map_err(|_| stopped())?;
        result.await.map_err(|_| stopped())?
    }
}

fn stopped() -> ScriptError {
    ScriptError::new(ScriptErrorKind::Cancelled, "the script engine has stopped")
}
