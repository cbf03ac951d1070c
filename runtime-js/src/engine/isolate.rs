//! The JavaScript heap and the scripts that run in it.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use deno_core::error::CoreError;
use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions, v8};

use super::errors::{Frame, frames};
use super::extension::extension;
use super::heap::{FOR_THE_END, UNTIL_STOPPED};
use super::loader::Loader;
use super::shared::Shared;
use super::watchdog::{Stopped, Watchdog, current_call, set_context};
use crate::{ScriptError, ScriptErrorKind};

/// The functions of `invoke.js`.
pub(super) struct HostFunctions {
    pub(super) load: v8::Global<v8::Function>,
    pub(super) init: v8::Global<v8::Function>,
    pub(super) call: v8::Global<v8::Function>,
    pub(super) abort: v8::Global<v8::Function>,
    pub(super) end: v8::Global<v8::Function>,
    pub(super) forget: v8::Global<v8::Function>,
    /// The last error of a call: `call` and `stack`, both texts.
    pub(super) thrown: v8::Global<v8::Object>,
}

impl HostFunctions {
    /// Reads them from the object that `invoke.js` passes.
    pub(super) fn from_object<'s>(scope: &mut v8::PinScope<'s, '_>, object: v8::Local<'s, v8::Object>) -> Option<Self> {
        let thrown = {
            let key = v8::String::new(scope, "thrown")?;
            let object = v8::Local::<v8::Object>::try_from(object.get(scope, key.into())?).ok()?;
            v8::Global::new(scope, object)
        };
        let get = |name: &str| {
            let key = v8::String::new(scope, name)?;
            let function = v8::Local::<v8::Function>::try_from(object.get(scope, key.into())?).ok()?;
            Some(v8::Global::new(scope, function))
        };
        Some(Self {
            load: get("load")?,
            init: get("init")?,
            call: get("call")?,
            abort: get("abort")?,
            end: get("end")?,
            forget: get("forget")?,
            thrown,
        })
    }
}

/// Which of them.
#[derive(Clone, Copy)]
pub(super) enum HostFunction {
    Load,
    Init,
    Call,
    Abort,
    End,
    Forget,
}

/// One argument of theirs.
pub(super) enum HostArg<'a> {
    Number(u32),
    Text(&'a str),
}

/// An exceeded limit, after which the isolate can no longer be used.
pub(super) struct Broken {
    pub(super) kind: ScriptErrorKind,
    /// The call that exceeded it, or 0 if unknown.
    pub(super) call: u32,
    /// The limit, if it was a time limit.
    pub(super) limit: Duration,
    pub(super) frames: Vec<Frame>,
}

/// One isolate with its globals.
pub(super) struct Isolate {
    runtime: JsRuntime,
    shared: Rc<Shared>,
    watchdog: Rc<Watchdog>,
    /// Distinguishes this isolate's versions from those of the previous one.
    pub(super) generation: u32,
}

impl Isolate {
    pub(super) fn new(shared: Rc<Shared>, watchdog: Rc<Watchdog>, generation: u32) -> Result<Self, ScriptError> {
        let limit = shared.options.limits.heap_bytes;
        let mut runtime = JsRuntime::try_new(RuntimeOptions {
            module_loader: Some(Rc::new(Loader(shared.versions.clone()))),
            extensions: vec![extension(shared.clone())],
            create_params: Some(v8::CreateParams::default().heap_limits(0, limit)),
            ..RuntimeOptions::default()
        })
        .map_err(|error| {
            ScriptError::new(ScriptErrorKind::Load, format!("the script engine does not start: {error}"))
        })?;

        let (heap, watch) = (shared.heap.clone(), watchdog.watch.clone());
        let handle = runtime.v8_isolate().thread_safe_handle();
        #[expect(unsafe_code, reason = "the callback is not given its isolate")]
        // SAFETY: the pointer is used by the callback alone, which the isolate itself calls.
        let isolate = unsafe { runtime.v8_isolate().as_raw_isolate_ptr() };
        runtime.add_near_heap_limit_callback(move |current, _initial| {
            if heap.hit().is_none() {
                #[expect(unsafe_code, reason = "the callback is not given its isolate")]
                // SAFETY: called by this very isolate, in the middle of a script, on its thread.
                let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
                heap.set(current_call(&mut isolate));
                watch.end_for_memory(&handle);
                return current.max(limit + UNTIL_STOPPED);
            }
            handle.terminate_execution();
            current.max(limit + UNTIL_STOPPED + FOR_THE_END)
        });
        watchdog.watch.set_isolate(Some(runtime.v8_isolate().thread_safe_handle()));
        set_context(Some(runtime.main_context()));
        Ok(Self { runtime, shared, watchdog, generation })
    }

    /// Calls one of the functions of `invoke.js`, for a call (0: for none).
    pub(super) fn call(&mut self, function: HostFunction, call: u32, args: &[HostArg<'_>]) -> Result<(), Broken> {
        let Some(functions) = self.shared.functions.borrow().clone() else { return Ok(()) };
        let function = match function {
            HostFunction::Load => &functions.load,
            HostFunction::Init => &functions.init,
            HostFunction::Call => &functions.call,
            HostFunction::Abort => &functions.abort,
            HostFunction::End => &functions.end,
            HostFunction::Forget => &functions.forget,
        };
        self.watchdog.enter(call);
        {
            deno_core::scope!(scope, self.runtime);
            v8::tc_scope!(let scope, scope);
            let function = v8::Local::new(scope, function);
            let receiver = v8::undefined(scope).into();
            let args: Vec<v8::Local<'_, v8::Value>> = args
                .iter()
                .map(|arg| match arg {
                    HostArg::Number(number) => v8::Integer::new_from_unsigned(scope, *number).into(),
                    HostArg::Text(text) => {
                        v8::String::new(scope, text).map_or_else(|| v8::undefined(scope).into(), Into::into)
                    }
                })
                .collect();
            function.call(scope, receiver, &args);
            if scope.has_caught() && !scope.has_terminated() {
                // These functions pass errors of scripts to the call; an exception out of them is a bug, or a script has changed what they
                // use: so it is not inspected.
                tracing::error!("the script engine's own code failed");
            }
        }
        let stopped = self.watchdog.leave();
        self.check(stopped)
    }

    /// Polls the event loop once. Ready: nothing is left to wait for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<CoreError>, Broken>> {
        self.watchdog.enter(0);
        let polled = self.runtime.poll_event_loop(cx, PollEventLoopOptions::default());
        let stopped = self.watchdog.leave();
        self.check(stopped)?;
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(Ok(None)),
            Poll::Ready(Err(error)) => Poll::Ready(Ok(Some(error))),
        }
    }

    /// The place of the last exception of a call that exceeded its memory limit, as stored by `failure.js`.
    fn thrown(&mut self) -> Vec<Frame> {
        let Some(functions) = self.shared.functions.borrow().clone() else { return Vec::new() };
        deno_core::scope!(scope, self.runtime);
        let thrown = v8::Local::new(scope, &functions.thrown);
        let get = |name: &str| {
            let key = v8::String::new(scope, name)?;
            let value = thrown.get(scope, key.into())?;
            value.is_string().then(|| value.to_rust_string_lossy(scope))
        };
        let call = get("call").and_then(|call| call.parse().ok());
        match get("stack") {
            // Only of this call: an earlier exception of another call is unrelated.
            Some(stack) if call.is_some() && call == self.shared.heap.hit() => frames(&stack),
            _ => Vec::new(),
        }
    }

    fn check(&mut self, stopped: Option<Stopped>) -> Result<(), Broken> {
        if let Some(call) = self.shared.heap.hit() {
            let frames = match stopped {
                Some(stopped) if self.shared.heap.is_of(stopped.call) => stopped.frames,
                _ => self.thrown(),
            };
            return Err(Broken { kind: ScriptErrorKind::HeapLimit, call, limit: Duration::ZERO, frames });
        }
        match stopped {
            Some(Stopped { call, limit, frames }) => {
                Err(Broken { kind: ScriptErrorKind::CpuLimit, call, limit, frames })
            }
            // It is unknown whether the script was terminated: another thread has replaced it.
            None if self.watchdog.watch.is_abandoned() => {
                let limit = self.shared.options.limits.cpu_without_yield;
                Err(Broken { kind: ScriptErrorKind::CpuLimit, call: 0, limit, frames: Vec::new() })
            }
            None => Ok(()),
        }
    }
}

impl Drop for Isolate {
    fn drop(&mut self) {
        // References into the isolate are dropped first.
        self.watchdog.watch.set_isolate(None);
        set_context(None);
        self.shared.clear();
        self.runtime.v8_isolate().cancel_terminate_execution();
    }
}

/// The isolate of the thread, made at the first use.
pub(super) type Slot = RefCell<Option<Isolate>>;
