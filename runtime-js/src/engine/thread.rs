//! The script thread.
//!
//! One driver polls the isolate; each request is a task of its own. All of them are on one thread, and none holds a
//! borrow of the isolate while it waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::calls::Completion;
use super::errors;
use super::isolate::{Broken, HostArg, HostFunction, Isolate, Slot};
use super::loader::module_name;
use super::process::is_prepared;
use super::shared::Shared;
use super::strikes::Strikes;
use super::watchdog::Watchdog;
use crate::cluster::ClusterSpec;
use crate::handle::{LoadOptions, Loaded, Request};
use crate::{
    AbortHandle, Arg, CallOptions, Capabilities, EngineOptions, Json, ModuleSource, ScriptError, ScriptErrorKind,
};

/// The least stack that the engine works with.
const MIN_STACK: usize = 4 << 20;
/// Calls under way at once: more means that hooks do not end.
const MAX_CALLS: usize = 256;
/// How much a script that computes gives way to the rest of the process.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// Time for the top level of a module to finish.
const EVALUATION_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// What a call left behind may go on for so long after its signal was aborted.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);

/// Starts the thread; it ends when the senders of `requests` are gone.
pub(crate) fn spawn(options: EngineOptions, requests: mpsc::Receiver<Request>) -> Result<(), ScriptError> {
    let failed = |what: String| ScriptError::new(ScriptErrorKind::Load, what);
    if !is_prepared() {
        return Err(failed("`prepare_process` was not called first".into()));
    }
    let host_runtime = tokio::runtime::Handle::try_current()
        .map_err(|error| failed(format!("the script engine must be started within a tokio runtime: {error}")))?;
    // Entered before the isolate is made: the engine's timers belong to it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(|error| failed(format!("cannot start the script thread: {error}")))?;
    std::thread::Builder::new()
        .name(options.name.clone())
        .stack_size(options.limits.stack_bytes.max(MIN_STACK))
        .spawn(move || {
            let shared = Rc::new(Shared::new(options, host_runtime));
            runtime.block_on(LocalSet::new().run_until(serve(shared, requests)));
        })
        .map(drop)
        .map_err(|error| failed(format!("cannot start the script thread: {error}")))
}

/// Whatever else the process has to do comes first: on Linux each thread has a priority of its own.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the script thread keeps its priority");
    }
}

async fn serve(shared: Rc<Shared>, mut requests: mpsc::Receiver<Request>) {
    let watchdog = match Watchdog::start(shared.options.limits.cpu_without_yield) {
        Ok(watchdog) => Rc::new(watchdog),
        Err(error) => {
            tracing::error!(%error, "cannot start the script watchdog: no script will run");
            return;
        }
    };
    // After the watchdog's thread was made, which must not give way.
    step_back();
    let engine = Rc::new(Engine {
        shared,
        watchdog,
        isolate: Slot::default(),
        generations: Cell::new(0),
        loads: Cell::new(0),
        versions: Cell::new(0),
        current: RefCell::default(),
        driver: RefCell::default(),
        strikes: RefCell::default(),
        loading: tokio::sync::Mutex::default(),
    });
    let driver = tokio::task::spawn_local(drive(engine.clone()));
    while let Some(request) = requests.recv().await {
        let engine = engine.clone();
        tokio::task::spawn_local(async move {
            match request {
                // Whoever gave up while a script computed wants nothing any more.
                Request::Load { reply, .. } if reply.is_closed() => {}
                Request::Call { reply, .. } if reply.is_closed() => {}
                Request::Load { source, options, reply } => {
                    let result = engine.load(source, options).await;
                    let _ = reply.send(result);
                }
                Request::Call { hook, args, options, mut reply } => {
                    // The caller may give up: then so does the call.
                    let result = engine.call(&hook, args, options, reply.closed()).await;
                    let _ = reply.send(result);
                }
            }
        });
    }
    driver.abort();
    engine
        .shared
        .calls
        .borrow_mut()
        .fail_all(|_, _| ScriptError::new(ScriptErrorKind::Cancelled, "the script engine has stopped"));
    engine.isolate.take();
}

/// Polls the isolate for as long as the thread lives.
async fn drive(engine: Rc<Engine>) {
    poll_fn(|cx| engine.poll(cx)).await
}

/// The version that calls go to.
#[derive(Clone)]
struct Current {
    source: ModuleSource,
    version: u32,
    generation: u32,
    exports: Vec<String>,
    init: Option<CallOptions>,
}

/// All that the tasks of the thread share.
struct Engine {
    shared: Rc<Shared>,
    watchdog: Rc<Watchdog>,
    isolate: Slot,
    /// Isolates made so far.
    generations: Cell<u32>,
    /// Loads into the present isolate.
    loads: Cell<u32>,
    /// Number of the newest version.
    versions: Cell<u32>,
    current: RefCell<Option<Current>>,
    driver: RefCell<Option<Waker>>,
    strikes: RefCell<Strikes>,
    /// Held while a version is loaded.
    loading: tokio::sync::Mutex<()>,
}

impl Engine {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.driver.replace(Some(cx.waker().clone()));
        let polled = match &mut *self.isolate.borrow_mut() {
            Some(isolate) => isolate.poll(cx),
            None => return Poll::Pending,
        };
        match polled {
            Poll::Pending => {}
            Poll::Ready(Err(broken)) => self.replace(&broken),
            Poll::Ready(Ok(error)) => {
                if let Some(error) = error {
                    // Errors of scripts are caught on the script's side: this is one of the engine.
                    tracing::error!(%error, "the script engine's event loop failed");
                    cx.waker().wake_by_ref();
                }
                self.fail_hopeless();
            }
        }
        Poll::Pending
    }

    /// Calls into JavaScript and lets the driver go on with what that started.
    fn enter(&self, function: HostFunction, args: &[HostArg<'_>]) {
        let result = match &mut *self.isolate.borrow_mut() {
            Some(isolate) => isolate.call(function, args),
            None => return,
        };
        if let Err(broken) = result {
            self.replace(&broken);
        }
        if let Some(waker) = &*self.driver.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Nothing is left that could complete a call which no one can end from outside.
    fn fail_hopeless(&self) {
        let hopeless = self.shared.calls.borrow().hopeless();
        for (id, hook) in hopeless {
            let error = ScriptError::new(
                ScriptErrorKind::Thrown,
                format!("`{hook}` waits for a promise that nothing can settle any more"),
            );
            self.shared.calls.borrow_mut().complete(id, Err(error));
        }
    }

    /// Gives up the isolate after a limit was broken. The next request makes a new one.
    fn replace(&self, broken: &Broken) {
        let limits = &self.shared.options.limits;
        let reason = match broken.kind {
            ScriptErrorKind::HeapLimit => format!("wanted more than {} MiB of memory", limits.heap_bytes >> 20),
            _ => format!("ran {} without yielding", seconds(broken.limit)),
        };
        let (guilty, name) = {
            let calls = self.shared.calls.borrow();
            let guilty = calls.hook(broken.call).map(|_| broken.call).or_else(|| calls.only());
            (guilty, guilty.and_then(|id| calls.hook(id)))
        };
        if let Some(name) = &name {
            self.strikes.borrow_mut().add(name, &reason, Instant::now());
        }
        let subject = name.map_or_else(|| "a script".to_owned(), |name| format!("`{name}`"));
        tracing::warn!("{subject} {reason}: the script engine starts anew");
        let mut error = ScriptError::new(broken.kind, format!("{subject} {reason}"));
        errors::place(&mut error, broken.frames.clone(), &self.shared.versions);
        self.shared.calls.borrow_mut().fail_all(|id, _| match guilty {
            Some(guilty) if guilty != id => ScriptError::new(
                ScriptErrorKind::Cancelled,
                format!("the script engine was started anew, because {subject} {reason}"),
            ),
            _ => error.clone(),
        });
        self.drop_isolate();
    }

    fn drop_isolate(&self) {
        let isolate = self.isolate.take();
        drop(isolate);
        self.loads.set(0);
    }

    /// Makes an isolate if there is none; its generation.
    fn ensure_isolate(&self) -> Result<u32, ScriptError> {
        let mut slot = self.isolate.borrow_mut();
        if let Some(isolate) = &*slot {
            return Ok(isolate.generation);
        }
        let generation = self.generations.get() + 1;
        self.generations.set(generation);
        *slot = Some(Isolate::new(self.shared.clone(), self.watchdog.clone(), generation)?);
        Ok(generation)
    }

    async fn load(self: &Rc<Self>, source: ModuleSource, options: LoadOptions) -> Result<Loaded, ScriptError> {
        let _loading = self.loading.lock().await;
        // What another version did is no fault of this one.
        self.strikes.take();
        // Each version leaves a little behind: after many of them, a new isolate.
        if self.loads.get() >= self.shared.options.limits.loads_per_isolate {
            self.shared.calls.borrow_mut().fail_all(|_, _| {
                ScriptError::new(
                    ScriptErrorKind::Cancelled,
                    "the script engine was started anew after many script versions",
                )
            });
            self.drop_isolate();
        }
        let (loaded, current) = self.evaluate(source, options.init).await?;
        if options.check_only {
            self.enter(HostFunction::Forget, &[HostArg::Number(current.version)]);
        } else {
            self.current.replace(Some(current));
        }
        self.forget_unused();
        Ok(loaded)
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
        let exports = self
            .run("import", version, options, std::future::pending(), |id, capabilities| {
                let args = [
                    HostArg::Number(version),
                    HostArg::Text(&name),
                    HostArg::Number(id),
                    HostArg::Number(capabilities),
                ];
                self.enter(HostFunction::Load, &args);
            })
            .await?;
        let exports: Vec<String> = serde_json::from_str(&exports).unwrap_or_default();

        let mut cluster: Option<ClusterSpec> = None;
        if let Some(options) = init.clone().filter(|_| exports.iter().any(|name| name == "init")) {
            let number = self
                .run("init", version, options, std::future::pending(), |id, capabilities| {
                    let args = [HostArg::Number(version), HostArg::Number(id), HostArg::Number(capabilities)];
                    self.enter(HostFunction::Init, &args);
                })
                .await
                .map_err(|error| init_error(error, &source))?;
            cluster = number.parse().ok().and_then(|number| self.shared.cluster_spec(number));
        }
        let loaded = Loaded { exports: exports.clone(), cluster };
        Ok((loaded, Current { source, version, generation, exports, init }))
    }

    /// Lets go of versions that nothing uses any more.
    fn forget_unused(&self) {
        let newest = self.versions.get();
        let current = self.current.borrow().as_ref().map(|current| current.version);
        let calls = &self.shared.calls;
        let gone = self
            .shared
            .versions
            .retain(|version| version == newest || Some(version) == current || calls.borrow().uses(version));
        for version in gone {
            self.enter(HostFunction::Forget, &[HostArg::Number(version)]);
        }
    }

    /// The current version, loaded again if its isolate is gone.
    async fn current(self: &Rc<Self>) -> Result<Current, ScriptError> {
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
        let (_, current) = self.evaluate(current.source, current.init).await?;
        self.current.replace(Some(current.clone()));
        Ok(current)
    }

    async fn call(
        self: &Rc<Self>,
        hook: &str,
        args: Vec<Arg>,
        options: CallOptions,
        given_up: impl Future<Output = ()>,
    ) -> Result<Option<Json>, ScriptError> {
        // Before an isolate is made for nothing.
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
        let result = self
            .run(hook, current.version, options, given_up, |id, capabilities| {
                let args = [
                    HostArg::Number(current.version),
                    HostArg::Text(hook),
                    HostArg::Number(id),
                    HostArg::Number(capabilities),
                    HostArg::Text(&args),
                ];
                self.enter(HostFunction::Call, &args);
            })
            .await?;
        if result.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&result).map(Some).map_err(|error| {
            ScriptError::new(ScriptErrorKind::Thrown, format!("what `{hook}` returned cannot be passed on: {error}"))
        })
    }

    /// Refuses a function that broke limits again and again.
    fn check_strikes(&self, function: &str) -> Result<(), ScriptError> {
        match self.strikes.borrow().refused(function, Instant::now()) {
            None => Ok(()),
            Some((left, reason)) => {
                let seconds = left.as_secs() + 1;
                let message =
                    format!("`{function}` is not called for another {seconds} s: it {reason}, again and again");
                Err(ScriptError::new(ScriptErrorKind::CpuLimit, message))
            }
        }
    }

    /// Starts a call and sees it to its end.
    async fn run(
        self: &Rc<Self>,
        hook: &str,
        version: u32,
        options: CallOptions,
        given_up: impl Future<Output = ()>,
        start: impl FnOnce(u32, u32),
    ) -> Completion {
        self.check_strikes(hook)?;
        let (id, mut result) = self.shared.calls.borrow_mut().begin(hook, version, &options);
        // Whatever ends this future ends the call.
        let mut guard = EndOfCall { engine: self.clone(), id, revoked: "the caller gave up".to_owned() };
        self.watchdog.watch.limit_call(id, options.timeout);
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
                    guard.revoked.clear();
                    if matches!(completion, Ok(Ok(_))) {
                        self.strikes.borrow_mut().forgive(hook);
                        if let Some(signal) = signal {
                            tokio::task::spawn_local(outlive(guard, signal));
                        }
                    }
                    return completion.unwrap_or_else(|_| Err(lost()));
                }
                reason = aborted => {
                    signal = None;
                    self.enter(HostFunction::Abort, &[HostArg::Number(id), HostArg::Text(&reason)]);
                }
                () = &mut deadline => {
                    let limit = seconds(options.timeout.unwrap_or_default());
                    guard.revoked = format!("it took longer than {limit}");
                    return Err(ScriptError::new(ScriptErrorKind::Timeout, format!("`{hook}` took longer than {limit}")));
                }
                () = &mut given_up => return Err(lost()),
            }
        }
    }
}

/// A hook may return and leave timers and listeners behind, which rely on its signal: it is still aborted, and a while later
/// whatever they do outside is refused.
async fn outlive(mut guard: EndOfCall, signal: AbortHandle) {
    let reason = signal.aborted().await;
    guard.engine.enter(HostFunction::Abort, &[HostArg::Number(guard.id), HostArg::Text(&reason)]);
    tokio::time::sleep(GRACE).await;
    guard.revoked = reason;
}

fn lost() -> ScriptError {
    ScriptError::new(ScriptErrorKind::Cancelled, "the call was given up")
}

/// `init` that returns something else is a fault of the file, not of a line.
fn init_error(mut error: ScriptError, source: &ModuleSource) -> ScriptError {
    if error.file.is_none() {
        error.file = Some(source.entry.clone());
    }
    error
}

/// Tells the script's side that a call is over.
struct EndOfCall {
    engine: Rc<Engine>,
    id: u32,
    /// Why it was ended from outside; empty when it ended by itself.
    revoked: String,
}

impl Drop for EndOfCall {
    fn drop(&mut self) {
        self.engine.watchdog.watch.end_call(self.id);
        self.engine.shared.calls.borrow_mut().cancel(self.id);
        self.engine.enter(HostFunction::End, &[HostArg::Number(self.id), HostArg::Text(&self.revoked)]);
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

/// `30 s`, `0.2 s`.
fn seconds(duration: std::time::Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
