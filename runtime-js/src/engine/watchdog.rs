//! Stops JavaScript that computes for too long without going back to the event loop.
//!
//! The script thread says when it enters and leaves JavaScript. A thread of the watchdog's own looks now and then how
//! much processor time was used since the last entry; past the limit it asks the engine for an interrupt, which runs
//! on the script thread at the next loop or call, notes where the script is, and ends it. A call whose own time limit is
//! shorter is ended by that one: while it computes, nothing else on the thread could. While no JavaScript runs, the
//! watchdog sleeps until some does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use deno_core::error::JsError;
use deno_core::v8;

use super::errors::{Frame, frames};

/// Looks per limit, and the longest pause between two: how far past its limit a script may get.
const LOOKS: u32 = 8;
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The watchdog's thread computes nothing; but the first allocation of a thread takes 60 KiB of it where jemalloc is compiled without
/// optimisation, and what is not touched costs nothing.
const STACK: usize = 512 << 10;

/// Shared by the script thread, the watchdog's thread and the interrupt.
pub(super) struct Watch {
    limit: Duration,
    clock: ThreadClock,
    /// Odd while JavaScript runs; each entry and exit adds one.
    entries: AtomicU64,
    /// Processor time of the script thread at the last entry, in nanoseconds.
    entered_at: AtomicU64,
    /// The entry that shall be stopped.
    condemned: AtomicU64,
    /// The watchdog sleeps until the next entry.
    asleep: AtomicBool,
    /// The watchdog shall end.
    over: AtomicBool,
    /// The calls under way that have limits of their own.
    own_limits: Mutex<HashMap<u32, Duration>>,
    isolate: Mutex<Option<v8::IsolateHandle>>,
    stopped: Mutex<Option<Stopped>>,
}

/// Where a script was when it was stopped.
pub(super) struct Stopped {
    /// The call that it belonged to, or 0.
    pub(super) call: u32,
    /// The limit that it broke.
    pub(super) limit: Duration,
    pub(super) frames: Vec<Frame>,
}

/// The watchdog's thread ends with this.
pub(super) struct Watchdog {
    pub(super) watch: Arc<Watch>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Watches the thread that calls this.
    pub(super) fn start(limit: Duration) -> std::io::Result<Self> {
        let watch = Arc::new(Watch {
            limit,
            clock: ThreadClock::of_this_thread(),
            entries: AtomicU64::new(0),
            entered_at: AtomicU64::new(0),
            condemned: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            over: AtomicBool::new(false),
            own_limits: Mutex::default(),
            isolate: Mutex::default(),
            stopped: Mutex::default(),
        });
        let watcher = watch.clone();
        let run = move || watcher.run();
        let thread = std::thread::Builder::new().name("script-watch".into()).stack_size(STACK).spawn(run)?;
        Ok(Self { watch, thread })
    }

    /// JavaScript begins to run.
    pub(super) fn enter(&self) {
        self.watch.entered_at.store(self.watch.clock.now(), Ordering::Relaxed);
        self.watch.entries.fetch_add(1, Ordering::SeqCst);
        if self.watch.asleep.swap(false, Ordering::SeqCst) {
            self.thread.thread().unpark();
        }
    }

    /// JavaScript has come back; where it was stopped, if it was.
    pub(super) fn leave(&self) -> Option<Stopped> {
        self.watch.entries.fetch_add(1, Ordering::SeqCst);
        self.watch.stopped.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.watch.over.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
    }
}

impl Watch {
    /// From now on this isolate is the one to stop.
    pub(super) fn set_isolate(&self, isolate: Option<v8::IsolateHandle>) {
        *self.isolate.lock().unwrap_or_else(PoisonError::into_inner) = isolate;
    }

    /// A call begins that may not even compute for longer than this.
    pub(super) fn limit_call(&self, call: u32, limit: Option<Duration>) {
        if let Some(limit) = limit.filter(|limit| *limit < self.limit) {
            self.own_limits.lock().unwrap_or_else(PoisonError::into_inner).insert(call, limit);
        }
    }

    /// A call has ended.
    pub(super) fn end_call(&self, call: u32) {
        self.own_limits.lock().unwrap_or_else(PoisonError::into_inner).remove(&call);
    }

    /// The limit of a call; of the strictest one, where none is given.
    fn limit_of(&self, call: Option<u32>) -> Duration {
        let limits = self.own_limits.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match call {
            Some(call) => limits.get(&call).copied(),
            None => limits.values().min().copied(),
        };
        own.unwrap_or(self.limit)
    }

    /// Processor time used since JavaScript began to run.
    fn used(&self) -> Duration {
        Duration::from_nanos(self.clock.now().saturating_sub(self.entered_at.load(Ordering::Relaxed)))
    }

    /// The watchdog's thread.
    fn run(self: Arc<Self>) {
        let pause = (self.limit / LOOKS).clamp(Duration::from_millis(2), LONGEST_PAUSE);
        while !self.over.load(Ordering::SeqCst) {
            // First said, then looked at again: an entry in between is either seen here, or sees that it has to wake.
            self.asleep.store(true, Ordering::SeqCst);
            if self.is_idle() {
                std::thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
            let until = Instant::now() + pause;
            while let Some(left) = until.checked_duration_since(Instant::now())
                && !left.is_zero()
                && !self.over.load(Ordering::SeqCst)
            {
                std::thread::park_timeout(left);
            }
            self.look();
        }
    }

    fn is_idle(&self) -> bool {
        self.entries.load(Ordering::SeqCst).is_multiple_of(2) && !self.over.load(Ordering::SeqCst)
    }

    fn look(self: &Arc<Self>) {
        let entry = self.entries.load(Ordering::SeqCst);
        if entry.is_multiple_of(2) || self.used() < self.limit_of(None) {
            return;
        }
        let isolate = self.isolate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(isolate) = &*isolate
            && self.condemned.swap(entry, Ordering::AcqRel) != entry
        {
            isolate.request_interrupt(interrupt, Arc::as_ptr(self).cast_mut().cast());
        }
    }
}

/// Runs on the script thread in the middle of a script.
#[expect(unsafe_code, reason = "the engine's interrupts are C functions")]
unsafe extern "C" fn interrupt(isolate: v8::UnsafeRawIsolatePtr, data: *mut c_void) {
    // SAFETY: `data` is the script thread's `Watch`, which outlives its isolates and their pending interrupts.
    let watch = unsafe { &*data.cast_const().cast::<Watch>() };
    // One that comes late must not hit the next, innocent entry.
    if watch.condemned.load(Ordering::Acquire) != watch.entries.load(Ordering::SeqCst) {
        return;
    }
    // SAFETY: the engine passes the isolate that it runs on this thread.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    let call = current_call(&mut isolate);
    let limit = watch.limit_of(Some(call));
    if watch.used() < limit {
        // It was another call's limit that had passed: looked at again.
        watch.condemned.store(0, Ordering::Release);
        return;
    }
    let stopped = Stopped { call, limit, frames: current_frames(&mut isolate) };
    *watch.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopped);
    isolate.terminate_execution();
}

thread_local! {
    /// The context of the thread's isolate, for callbacks that the engine makes in the middle of a script.
    static CONTEXT: RefCell<Option<v8::Global<v8::Context>>> = const { RefCell::new(None) };
}

/// From now on this is the context of the thread's scripts.
pub(super) fn set_context(context: Option<v8::Global<v8::Context>>) {
    CONTEXT.with(|cell| cell.replace(context));
}

/// Opens a scope in the thread's context, in a callback of the engine's.
fn in_context<R: Default>(isolate: &mut v8::Isolate, body: impl FnOnce(&mut v8::PinScope<'_, '_>) -> R) -> R {
    CONTEXT.with(|cell| {
        let context = cell.borrow();
        let Some(context) = &*context else { return R::default() };
        v8::scope!(let scope, isolate);
        let context = v8::Local::new(scope, context);
        let scope = &mut v8::ContextScope::new(scope, context);
        body(scope)
    })
}

/// The id of the call that the running code belongs to, or 0.
pub(super) fn current_call(isolate: &mut v8::Isolate) -> u32 {
    in_context(isolate, |scope| {
        let call = v8::Local::<v8::Object>::try_from(scope.get_continuation_preserved_embedder_data()).ok()?;
        let key = v8::String::new(scope, "id")?;
        call.get(scope, key.into())?.uint32_value(scope)
    })
    .unwrap_or(0)
}

/// Where the running code is.
fn current_frames(isolate: &mut v8::Isolate) -> Vec<Frame> {
    in_context(isolate, |scope| {
        // The trace of an error is more exact than the engine's own of the running function.
        let message = v8::String::empty(scope);
        let error = v8::Exception::error(scope, message);
        frames(&JsError::from_v8_exception(scope, error))
    })
}

/// Processor time of one thread, readable from others.
#[cfg(target_os = "linux")]
struct ThreadClock(libc::clockid_t);

#[cfg(target_os = "linux")]
impl ThreadClock {
    fn of_this_thread() -> Self {
        let mut clock = libc::CLOCK_MONOTONIC;
        #[expect(unsafe_code, reason = "no safe interface gives another thread's clock")]
        // SAFETY: the thread is the calling one, and `clock` outlives the call.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        // Wall time is the next best measure.
        Self(if failed == 0 { clock } else { libc::CLOCK_MONOTONIC })
    }

    /// Nanoseconds; 0 when the thread is gone.
    fn now(&self) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        #[expect(unsafe_code, reason = "no safe interface reads another thread's clock")]
        // SAFETY: `time` outlives the call. A clock of a thread that is gone is an error, not a fault.
        let failed = unsafe { libc::clock_gettime(self.0, &raw mut time) };
        if failed != 0 {
            return 0;
        }
        let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
        seconds * 1_000_000_000 + nanoseconds
    }
}

/// Wall time, where threads have no clock that others can read.
#[cfg(not(target_os = "linux"))]
struct ThreadClock(std::time::Instant);

#[cfg(not(target_os = "linux"))]
impl ThreadClock {
    fn of_this_thread() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
