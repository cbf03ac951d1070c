//! The script thread.
//!
//! One driver polls the isolate; each request is a separate task. All of them run on one thread, and none holds a
//! borrow of the isolate while it waits.

use std::future::poll_fn;
use std::rc::Rc;

use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::process::is_prepared;
use super::shared::Shared;
use super::state::Engine;
use super::strikes::SharedStrikes;
use super::watchdog::{Stuck, Watchdog};
use crate::handle::Request;
use crate::{CallOptions, EngineOptions, ModuleSource, ScriptError, ScriptErrorKind};

/// The smallest stack with which the engine works.
const MIN_STACK: usize = 4 << 20;
/// The niceness of the script thread, by which the rest of the process has priority.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Requests that may wait for the script thread, which takes them at once unless a script is computing.
const REQUEST_QUEUE: usize = 64;

/// A handle to a script thread, which ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct ScriptThread {
    pub(crate) requests: mpsc::Sender<Request>,
    /// Set once the thread was abandoned.
    pub(crate) stuck: watch::Receiver<Option<Stuck>>,
    /// Dropped when the thread has ended.
    pub(crate) lives: std::sync::Weak<()>,
}

/// The initial state of a thread.
pub(crate) struct Beginning {
    pub(crate) options: EngineOptions,
    pub(crate) strikes: SharedStrikes,
    /// The version in use, and the options of its `init`.
    pub(crate) version: Option<(ModuleSource, Option<CallOptions>)>,
}

/// Starts a thread.
pub(crate) fn spawn(beginning: Beginning) -> Result<ScriptThread, ScriptError> {
    let Beginning { options, strikes, version } = beginning;
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
    let (requests, receiver) = mpsc::channel(REQUEST_QUEUE);
    let (stuck, stuck_receiver) = watch::channel(None);
    let life = std::sync::Arc::new(());
    let lives = std::sync::Arc::downgrade(&life);
    std::thread::Builder::new()
        .name(options.name.clone())
        .stack_size(options.limits.stack_bytes.max(MIN_STACK))
        .spawn(move || {
            let _life = life;
            let watchdog = match Watchdog::start(options.limits.cpu_without_yield, stuck, strikes.clone()) {
                Ok(watchdog) => watchdog,
                Err(error) => {
                    tracing::error!(%error, "cannot start the script watchdog: no script will run");
                    return;
                }
            };
            // After the watchdog's thread was made, which must keep its priority.
            step_back();
            let shared = Rc::new(Shared::new(options, host_runtime, watchdog.watch.root.clone()));
            let engine = Rc::new(Engine::new(shared, watchdog, strikes, version));
            runtime.block_on(LocalSet::new().run_until(serve(engine, receiver)));
            give_back();
        })
        .map_err(|error| failed(format!("cannot start the script thread: {error}")))?;
    Ok(ScriptThread { requests, stuck: stuck_receiver, lives })
}

/// Gives the rest of the process priority: on Linux each thread has its own niceness.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the script thread keeps its priority");
    }
}

/// Returns an isolate's freed memory from the C library to the system: some megabytes, as versions are tried in separate engines.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "no safe interface gives the C library's memory back")]
    // SAFETY: gives pages back that nothing uses; any thread may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

async fn serve(engine: Rc<Engine>, mut requests: mpsc::Receiver<Request>) {
    let driver = tokio::task::spawn_local(drive(engine.clone()));
    while let Some(request) = requests.recv().await {
        let engine = engine.clone();
        tokio::task::spawn_local(async move {
            match request {
                // A caller that was dropped while a script computed needs no result.
                Request::Load { reply, .. } if reply.is_closed() => {}
                Request::Call { reply, .. } if reply.is_closed() => {}
                Request::Load { source, options, reply } => {
                    let result = engine.load(source, options).await;
                    let _ = reply.send(result);
                }
                Request::Call { hook, args, options, mut reply } => {
                    // If the caller is dropped, the call ends.
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
