//! Runs calls of hooks.

use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::isolate::{HostArg, HostFunction};
use super::state::{Engine, seconds};
use crate::{Arg, CallOptions, Json, ScriptError, ScriptErrorKind};

/// The most concurrent calls: more means that hooks do not end.
const MAX_CALLS: usize = 256;
/// How long leftovers of a call may continue after its signal was aborted.
const GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// See [`ScriptEngine::call`](crate::ScriptEngine::call).
    pub(super) async fn call(
        self: &Rc<Self>,
        hook: &str,
        args: Vec<Arg>,
        options: CallOptions,
        given_up: impl Future<Output = ()>,
    ) -> Result<Option<Json>, ScriptError> {
        // Checked before an isolate is made.
        self.check_strikes(hook)?;
        let current = self.current().await?;
        if !current.exports.iter().any(|name| name == hook) {
            let mut error = ScriptError::new(ScriptErrorKind::NotFound, format!("exports no function `{hook}`"));
            error.file = Some(current.source.entry);
            return Err(error);
        }
        if self.shared.calls.borrow().len() >= MAX_CALLS {
            let message = format!("`{hook}` was not called: {MAX_CALLS} calls are under way");
            return Err(ScriptError::new(ScriptErrorKind::Cancelled, message));
        }
        let args = encode(&args);
        let signal = options.signal.clone();
        let (result, mut scope) = self
            .run(hook, current.version, options, given_up, |id, capabilities| {
                let args = [
                    HostArg::Number(current.version),
                    HostArg::Text(hook),
                    HostArg::Number(id),
                    HostArg::Number(capabilities),
                    HostArg::Text(&args),
                ];
                self.enter(HostFunction::Call, id, &args);
            })
            .await?;
        match signal.filter(|signal| !signal.is_aborted()) {
            // Its timers and listeners continue until its signal aborts.
            Some(signal) => drop(tokio::task::spawn_local(outlive(scope, signal.followed()))),
            None => scope.over("it has returned"),
        }
        if result.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&result).map(Some).map_err(|error| {
            ScriptError::new(ScriptErrorKind::Thrown, format!("cannot convert the result of `{hook}`: {error}"))
        })
    }

    /// Refuses a function that exceeded limits repeatedly.
    fn check_strikes(&self, function: &str) -> Result<(), ScriptError> {
        match self.strikes().refused(function, Instant::now()) {
            None => Ok(()),
            Some((left, reason)) => {
                let seconds = left.as_secs() + 1;
                let message = format!("`{function}` is not called for another {seconds} s: it {reason} repeatedly");
                Err(ScriptError::new(ScriptErrorKind::CpuLimit, message))
            }
        }
    }

    /// Runs a call to its end. If it succeeds, everything that it has started continues as long as the scope lives; else it has
    /// ended too.
    pub(super) async fn run(
        self: &Rc<Self>,
        hook: &str,
        version: u32,
        options: CallOptions,
        given_up: impl Future<Output = ()>,
        start: impl FnOnce(u32, u32),
    ) -> Result<(String, Scope), ScriptError> {
        self.check_strikes(hook)?;
        let (id, mut result) = self.shared.calls.borrow_mut().begin(hook, version, &options);
        // Dropping this future ends the call.
        let mut scope =
            Scope { engine: Rc::downgrade(self), id, revoked: "the caller gave up".to_owned(), abort: true };
        self.watchdog.watch.begin_call(id, hook, options.timeout);
        start(id, options.capabilities.bits());
        let mut signal = options.signal;
        let deadline = async {
            match options.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline, given_up);
        loop {
            let aborted = async {
                match &signal {
                    Some(signal) => signal.aborted().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                completion = &mut result => {
                    self.watchdog.watch.end_call(id);
                    match completion.unwrap_or_else(|_| Err(lost())) {
                        Ok(result) => {
                            self.strikes().forgive(hook);
                            return Ok((result, scope));
                        }
                        Err(error) => {
                            scope.revoked = "it has failed".to_owned();
                            return Err(error);
                        }
                    }
                }
                reason = aborted => {
                    signal = None;
                    self.enter(HostFunction::Abort, id, &[HostArg::Number(id), HostArg::Text(&reason)]);
                }
                () = &mut deadline => {
                    let limit = seconds(options.timeout.unwrap_or_default());
                    scope.revoked = format!("it took longer than {limit}");
                    return Err(ScriptError::new(ScriptErrorKind::Timeout, format!("`{hook}` took longer than {limit}")));
                }
                () = &mut given_up => return Err(lost()),
            }
        }
    }
}

/// A hook may return and leave timers and listeners, which rely on its signal: it is still aborted, and a while later they
/// end.
///
/// Also ends them if no handle is left that could abort the signal.
async fn outlive(mut scope: Scope, aborted: impl Future<Output = Option<String>>) {
    let Some(reason) = aborted.await else { return scope.over("no caller is left to abort it") };
    if let Some(engine) = scope.engine.upgrade() {
        engine.enter(HostFunction::Abort, scope.id, &[HostArg::Number(scope.id), HostArg::Text(&reason)]);
    }
    tokio::time::sleep(GRACE).await;
    scope.over(&reason);
}

fn lost() -> ScriptError {
    ScriptError::new(ScriptErrorKind::Cancelled, "the call was abandoned")
}

/// Everything that a call has started. When dropped, timers are cleared, commands are killed, and further effects are refused.
pub(super) struct Scope {
    engine: Weak<Engine>,
    id: u32,
    /// Why it ended, for the error of later effects.
    revoked: String,
    /// It did not end normally: its signal aborts.
    abort: bool,
}

impl Scope {
    /// Ends normally.
    pub(super) fn over(&mut self, reason: &str) {
        self.finish(reason, false);
    }

    fn finish(&mut self, reason: &str, abort: bool) {
        let Some(engine) = std::mem::take(&mut self.engine).upgrade() else { return };
        engine.watchdog.watch.end_call(self.id);
        engine.shared.end_call(self.id);
        let args = [HostArg::Number(self.id), HostArg::Text(reason), HostArg::Number(u32::from(abort))];
        engine.enter(HostFunction::End, self.id, &args);
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let reason = std::mem::take(&mut self.revoked);
        self.finish(&reason, self.abort);
    }
}

fn encode(args: &[Arg]) -> String {
    let encode = |arg: &Arg| match arg {
        Arg::Cluster => serde_json::json!({ "type": "cluster" }),
        Arg::Signal => serde_json::json!({ "type": "signal" }),
        Arg::Node(node) => serde_json::json!({ "type": "node", "value": node }),
        Arg::Nodes(nodes) => serde_json::json!({ "type": "nodes", "value": nodes }),
        Arg::Json(value) => serde_json::json!({ "type": "json", "value": value }),
    };
    Json::Array(args.iter().map(encode).collect()).to_string()
}
