//! The engine's state, and entering and leaving the isolate.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::errors;
use super::isolate::{Broken, HostArg, HostFunction, Isolate, Slot};
use super::run::Scope;
use super::shared::Shared;
use super::strikes::{SharedStrikes, Strikes};
use super::watchdog::Watchdog;
use crate::{CallOptions, ModuleSource, ScriptError, ScriptErrorKind};

/// The version that calls go to.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) source: ModuleSource,
    pub(super) version: u32,
    pub(super) generation: u32,
    pub(super) exports: Vec<String>,
    pub(super) init: Option<CallOptions>,
    /// Effects that it started while it was loaded.
    pub(super) _scopes: Rc<Vec<Scope>>,
}

/// State shared by the tasks of the thread.
pub(super) struct Engine {
    pub(super) shared: Rc<Shared>,
    pub(super) watchdog: Rc<Watchdog>,
    pub(super) isolate: Slot,
    /// Isolates made so far.
    pub(super) generations: Cell<u32>,
    /// Number of loads into the present isolate.
    pub(super) loads: Cell<u32>,
    /// Number of the newest version.
    pub(super) versions: Cell<u32>,
    pub(super) current: RefCell<Option<Current>>,
    pub(super) driver: RefCell<Option<Waker>>,
    strikes: SharedStrikes,
    /// Held while a version is loaded.
    pub(super) loading: tokio::sync::Mutex<()>,
}

impl Engine {
    /// An engine, with the version that is already in use.
    pub(super) fn new(
        shared: Rc<Shared>,
        watchdog: Watchdog,
        strikes: SharedStrikes,
        version: Option<(ModuleSource, Option<CallOptions>)>,
    ) -> Self {
        // It belongs to no isolate yet: the first call loads it.
        let current = version.map(|(source, init)| Current {
            source,
            version: 0,
            generation: 0,
            exports: Vec::new(),
            init,
            _scopes: Rc::default(),
        });
        Self {
            shared,
            watchdog: Rc::new(watchdog),
            isolate: Slot::default(),
            generations: Cell::new(0),
            loads: Cell::new(0),
            versions: Cell::new(0),
            current: RefCell::new(current),
            driver: RefCell::default(),
            strikes,
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// The strikes of functions that exceeded limits.
    pub(super) fn strikes(&self) -> MutexGuard<'_, Strikes> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls the isolate once; never ready, since the thread lives on.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
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
                    // Errors of scripts are caught in JavaScript: this is an error of the engine.
                    tracing::error!(%error, "the script engine's event loop failed");
                    cx.waker().wake_by_ref();
                }
                self.fail_hopeless();
            }
        }
        Poll::Pending
    }

    /// Calls into JavaScript, for a call (0: for none), and wakes the driver for what that started.
    pub(super) fn enter(&self, function: HostFunction, call: u32, args: &[HostArg<'_>]) {
        let result = match &mut *self.isolate.borrow_mut() {
            Some(isolate) => isolate.call(function, call, args),
            None => return,
        };
        if let Err(broken) = result {
            self.replace(&broken);
        }
        if let Some(waker) = &*self.driver.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Nothing is left that could complete a call that cannot be ended from outside.
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

    /// Drops the isolate after a limit was exceeded. The next request makes a new one.
    fn replace(&self, broken: &Broken) {
        let limits = &self.shared.options.limits;
        let reason = match broken.kind {
            ScriptErrorKind::HeapLimit => format!("needed more than {} MiB of memory", limits.heap_bytes >> 20),
            _ => format!("ran {} without yielding", seconds(broken.limit)),
        };
        let (guilty, name) = {
            let calls = self.shared.calls.borrow();
            let guilty = calls.hook(broken.call).map(|_| broken.call).or_else(|| calls.only());
            (guilty, guilty.and_then(|id| calls.hook(id)))
        };
        if let Some(name) = &name {
            self.strikes().add(name, &reason, Instant::now());
        }
        let subject = name.map_or_else(|| "a script".to_owned(), |name| format!("`{name}`"));
        tracing::warn!("{subject} {reason}: restarting the script engine");
        let mut error = ScriptError::new(broken.kind, format!("{subject} {reason}"));
        errors::place(&mut error, broken.frames.clone(), &self.shared.versions);
        self.shared.calls.borrow_mut().fail_all(|id, _| match guilty {
            Some(guilty) if guilty != id => ScriptError::new(
                ScriptErrorKind::Cancelled,
                format!("the script engine was restarted because {subject} {reason}"),
            ),
            _ => error.clone(),
        });
        self.drop_isolate();
    }

    pub(super) fn drop_isolate(&self) {
        let isolate = self.isolate.take();
        drop(isolate);
        self.loads.set(0);
    }

    /// Makes an isolate if there is none; returns its generation.
    pub(super) fn ensure_isolate(&self) -> Result<u32, ScriptError> {
        if self.watchdog.watch.is_abandoned() {
            return Err(ScriptError::new(ScriptErrorKind::Cancelled, "the script thread was abandoned"));
        }
        let mut slot = self.isolate.borrow_mut();
        if let Some(isolate) = &*slot {
            return Ok(isolate.generation);
        }
        let generation = self.generations.get() + 1;
        self.generations.set(generation);
        *slot = Some(Isolate::new(self.shared.clone(), self.watchdog.clone(), generation)?);
        Ok(generation)
    }
}

/// `30 s`, `0.2 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
