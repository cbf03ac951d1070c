//! Stops JavaScript that computes for too long without returning to the event loop.
//!
//! The script thread records when it enters and leaves JavaScript. The watchdog's thread regularly checks how much
//! processor time was used since the last entry; past the limit it requests an interrupt from the engine, which runs
//! on the script thread at the next loop or call, records where the script is, and terminates it. A shorter time limit of
//! a call is enforced in the same way: while the call computes, nothing else on the thread could do so. While no JavaScript
//! runs, the watchdog sleeps.
//!
//! Time in which the thread sleeps within JavaScript counts as if it computed. If a script cannot be interrupted, such as a loop
//! inside one of the engine's own functions, its thread is abandoned ([`Stuck`]): nothing that the thread holds can be taken
//! from it, so it continues with the lowest priority, and ends when it returns from JavaScript. Another thread with
//! its own isolate replaces it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use deno_core::v8;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::errors::{Frame, frames};
use super::strikes::SharedStrikes;

/// Checks per limit, and the longest pause between two: how far a script may exceed its limit.
const LOOKS: u32 = 8;
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The watchdog's thread needs almost no stack; but the first allocation of a thread takes 60 KiB of it if jemalloc is compiled without
/// optimisation, and untouched stack costs nothing.
const STACK: usize = 512 << 10;

/// How long after its limit a script may take to react to an interrupt, as a part of the limit, with a minimum and a maximum.
const GRACE_PART: u32 = 4;
const GRACE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// A thread that could not be interrupted in JavaScript.
#[derive(Debug, Clone)]
pub(crate) struct Stuck {
    /// The function that was called, if known.
    pub(crate) hook: Option<String>,
    /// What it did.
    pub(crate) reason: String,
}

/// The watchdog's state of the present entry between two checks.
struct Looks {
    entry: u64,
    /// Wall and processor time at the last check.
    last: (Instant, Duration),
    /// Wall time in which the thread slept.
    slept: Duration,
    /// Since when the watchdog waits for an interrupt, in time used, and how many had run before.
    asked: Option<(Duration, u64)>,
}

/// A call in progress.
struct Watched {
    hook: String,
    /// Its own limit, if that is shorter than the engine's.
    limit: Option<Duration>,
}

/// Shared by the script thread, the watchdog's thread and the interrupt.
pub(super) struct Watch {
    limit: Duration,
    clock: ThreadClock,
    /// The system's id of the script thread, if known.
    #[cfg(target_os = "linux")]
    thread: Option<i32>,
    /// The call for which JavaScript was entered; 0: none in particular.
    entered_for: AtomicU32,
    /// How many interrupts ran.
    answers: AtomicU64,
    /// The entry that was terminated.
    terminated: AtomicU64,
    /// The thread was abandoned.
    abandoned: AtomicBool,
    /// Cancelled when the thread is abandoned: effects of scripts end, though their thread does not.
    pub(super) root: CancellationToken,
    stuck: watch::Sender<Option<Stuck>>,
    strikes: SharedStrikes,
    /// Odd while JavaScript runs; each entry and exit adds one.
    entries: AtomicU64,
    /// Processor time of the script thread at the last entry, in nanoseconds.
    entered_at: AtomicU64,
    /// The entry to stop.
    condemned: AtomicU64,
    /// The watchdog sleeps until the next entry.
    asleep: AtomicBool,
    /// The watchdog must end.
    over: AtomicBool,
    calls: Mutex<HashMap<u32, Watched>>,
    isolate: Mutex<Option<v8::IsolateHandle>>,
    stopped: Mutex<Option<Stopped>>,
}

/// Where a script was when it was stopped.
pub(super) struct Stopped {
    /// The call that it belonged to, or 0.
    pub(super) call: u32,
    /// The time limit that it exceeded, or zero.
    pub(super) limit: Duration,
    pub(super) frames: Vec<Frame>,
}

/// The watchdog; its thread ends when this is dropped.
pub(super) struct Watchdog {
    pub(super) watch: Arc<Watch>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Watches the calling thread.
    pub(super) fn start(
        limit: Duration,
        stuck: watch::Sender<Option<Stuck>>,
        strikes: SharedStrikes,
    ) -> std::io::Result<Self> {
        let watch = Arc::new(Watch {
            limit,
            clock: ThreadClock::of_this_thread(),
            #[cfg(target_os = "linux")]
            thread: this_thread(),
            entered_for: AtomicU32::new(0),
            answers: AtomicU64::new(0),
            terminated: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
            root: CancellationToken::new(),
            stuck,
            strikes,
            entries: AtomicU64::new(0),
            entered_at: AtomicU64::new(0),
            condemned: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            over: AtomicBool::new(false),
            calls: Mutex::default(),
            isolate: Mutex::default(),
            stopped: Mutex::default(),
        });
        let watcher = watch.clone();
        let run = move || watcher.run();
        let thread = std::thread::Builder::new().name("script-watch".into()).stack_size(STACK).spawn(run)?;
        Ok(Self { watch, thread })
    }

    /// Records that JavaScript begins to run, for a call (0: none in particular).
    pub(super) fn enter(&self, call: u32) {
        self.watch.entered_for.store(call, Ordering::Relaxed);
        self.watch.entered_at.store(self.watch.clock.now(), Ordering::Relaxed);
        self.watch.entries.fetch_add(1, Ordering::SeqCst);
        if self.watch.asleep.swap(false, Ordering::SeqCst) {
            self.thread.thread().unpark();
        }
    }

    /// Records that JavaScript has returned; returns where it was stopped, if it was.
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
    /// Sets the isolate to stop.
    pub(super) fn set_isolate(&self, isolate: Option<v8::IsolateHandle>) {
        *self.isolate.lock().unwrap_or_else(PoisonError::into_inner) = isolate;
    }

    /// Records the start of a call, which may not compute for longer than its own limit.
    pub(super) fn begin_call(&self, call: u32, hook: &str, limit: Option<Duration>) {
        let limit = limit.filter(|limit| *limit < self.limit);
        self.calls().insert(call, Watched { hook: hook.to_owned(), limit });
    }

    /// Records the end of a call.
    pub(super) fn end_call(&self, call: u32) {
        self.calls().remove(&call);
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<u32, Watched>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit of a call; without a call, the strictest one.
    fn limit_of(&self, call: Option<u32>) -> Duration {
        let calls = self.calls();
        let own = match call {
            Some(call) => calls.get(&call).and_then(|call| call.limit),
            None => calls.values().filter_map(|call| call.limit).min(),
        };
        own.unwrap_or(self.limit)
    }

    /// The limit of the present entry.
    fn limit_of_entry(&self) -> Duration {
        match self.entered_for.load(Ordering::Relaxed) {
            0 => self.limit_of(None),
            call => self.limit_of(Some(call)),
        }
    }

    /// Whether the thread was abandoned: it must no longer run scripts.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// Processor time used since JavaScript began to run.
    fn used(&self) -> Duration {
        Duration::from_nanos(self.clock.now().saturating_sub(self.entered_at.load(Ordering::Relaxed)))
    }

    /// The watchdog's thread.
    fn run(self: Arc<Self>) {
        let pause = (self.limit / LOOKS).clamp(Duration::from_millis(2), LONGEST_PAUSE);
        let mut looks = None;
        while !self.over.load(Ordering::SeqCst) && !self.is_abandoned() {
            // The flag is set before the check: an entry in between is either seen here, or sees that it has to wake the watchdog.
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
            self.look(&mut looks);
        }
    }

    fn is_idle(&self) -> bool {
        self.entries.load(Ordering::SeqCst).is_multiple_of(2) && !self.over.load(Ordering::SeqCst)
    }

    fn look(self: &Arc<Self>, looks: &mut Option<Looks>) {
        let entry = self.entries.load(Ordering::SeqCst);
        if entry.is_multiple_of(2) {
            *looks = None;
            return;
        }
        let (now, computed) = (Instant::now(), self.used());
        let looks = match looks {
            Some(looks) if looks.entry == entry => looks,
            other => other.insert(Looks { entry, last: (now, computed), slept: Duration::ZERO, asked: None }),
        };
        if computed == looks.last.1 && self.sleeps() {
            looks.slept += now - looks.last.0;
        }
        looks.last = (now, computed);
        let (used, limit) = (computed + looks.slept, self.limit_of_entry());
        if used < limit {
            return;
        }
        let answers = self.answers.load(Ordering::SeqCst);
        match looks.asked {
            Some((at, before)) if before == answers || self.terminated.load(Ordering::SeqCst) == entry => {
                if used.saturating_sub(at) >= (limit / GRACE_PART).clamp(GRACE.0, GRACE.1) {
                    self.give_up(entry, looks.slept > computed, limit);
                }
            }
            _ => {
                looks.asked = Some((used, answers));
                self.ask(entry);
            }
        }
    }

    /// Requests an interrupt of the script.
    fn ask(self: &Arc<Self>, entry: u64) {
        let isolate = self.isolate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(isolate) = &*isolate
            && self.condemned.swap(entry, Ordering::AcqRel) != entry
        {
            isolate.request_interrupt(interrupt, Arc::as_ptr(self).cast_mut().cast());
        }
    }

    /// Has the script terminated at its next loop or call, since it exceeded its memory limit: only there its place can be read.
    pub(super) fn end_for_memory(self: &Arc<Self>, isolate: &v8::IsolateHandle) {
        isolate.request_interrupt(memory_interrupt, Arc::as_ptr(self).cast_mut().cast());
    }

    /// Abandons the thread.
    fn give_up(&self, entry: u64, slept: bool, limit: Duration) {
        self.abandoned.store(true, Ordering::SeqCst);
        if self.entries.load(Ordering::SeqCst) != entry {
            // It has just returned, and is abandoned anyway: it is unknown whether it saw this.
            tracing::debug!("the script thread came back at the last moment");
        }
        if let Some(isolate) = &*self.isolate.lock().unwrap_or_else(PoisonError::into_inner) {
            isolate.terminate_execution();
        }
        self.root.cancel();
        let hook = {
            let calls = self.calls();
            let entered = calls.get(&self.entered_for.load(Ordering::Relaxed));
            let mut all = calls.values();
            let only = all.next().filter(|_| all.next().is_none());
            entered.or(only).map(|call| call.hook.clone())
        };
        let did = if slept { "was blocked" } else { "ran" };
        let reason = format!("{did} for {} s where it could not be interrupted", limit.as_secs_f64());
        if let Some(hook) = &hook {
            let mut strikes = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
            strikes.add_at_once(hook, &reason, Instant::now());
        }
        let subject = hook.as_deref().unwrap_or("a script");
        tracing::error!("{subject} {reason}: its thread is abandoned, another one runs the scripts");
        self.starve();
        self.stuck.send_replace(Some(Stuck { hook, reason }));
    }

    /// Whether the script thread sleeps, rather than waiting for a processor.
    #[cfg(target_os = "linux")]
    fn sleeps(&self) -> bool {
        let Some(thread) = self.thread else { return false };
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
        // The name before it may contain anything.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        matches!(state, Some('S' | 'D'))
    }

    /// On systems without thread clocks, wall time is used anyway.
    #[cfg(not(target_os = "linux"))]
    fn sleeps(&self) -> bool {
        false
    }

    /// Gives the script thread the lowest priority.
    #[cfg(target_os = "linux")]
    fn starve(&self) {
        let Some(thread) = self.thread else { return };
        let priority: libc::c_int = 0;
        // By its number: musl's function of this name fails always.
        #[expect(unsafe_code, reason = "no safe interface sets another thread's policy")]
        // SAFETY: `priority`, all of the kernel's `struct sched_param`, outlives the call. A thread that is gone is an error, not
        // a fault.
        let failed =
            unsafe { libc::syscall(libc::SYS_sched_setscheduler, thread, libc::SCHED_IDLE, &raw const priority) };
        if failed != 0 {
            tracing::debug!("the abandoned script thread keeps its priority");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn starve(&self) {}
}

/// Runs on the script thread in the middle of a script.
#[expect(unsafe_code, reason = "the engine's interrupts are C functions")]
unsafe extern "C" fn interrupt(isolate: v8::UnsafeRawIsolatePtr, data: *mut c_void) {
    // SAFETY: `data` is the script thread's `Watch`, which outlives its isolates and their pending interrupts.
    let watch = unsafe { &*data.cast_const().cast::<Watch>() };
    watch.answers.fetch_add(1, Ordering::SeqCst);
    // A late interrupt must not stop the next, innocent entry.
    if watch.condemned.load(Ordering::Acquire) != watch.entries.load(Ordering::SeqCst) {
        return;
    }
    // SAFETY: the engine passes the isolate that it runs on this thread.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    let call = current_call(&mut isolate);
    let limit = watch.limit_of(Some(call));
    if watch.used() < limit {
        // Another call's limit had passed: checked again.
        watch.condemned.store(0, Ordering::Release);
        return;
    }
    stop(watch, &mut isolate, call, limit);
}

/// As [`interrupt`], for a script that exceeded its memory limit.
#[expect(unsafe_code, reason = "the engine's interrupts are C functions")]
unsafe extern "C" fn memory_interrupt(isolate: v8::UnsafeRawIsolatePtr, data: *mut c_void) {
    // SAFETY: as in `interrupt`.
    let watch = unsafe { &*data.cast_const().cast::<Watch>() };
    // SAFETY: as in `interrupt`.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    let call = current_call(&mut isolate);
    stop(watch, &mut isolate, call, Duration::ZERO);
}

/// Records where the script is, and terminates it.
fn stop(watch: &Watch, isolate: &mut v8::Isolate, call: u32, limit: Duration) {
    let stopped = Stopped { call, limit, frames: current_frames(isolate) };
    *watch.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopped);
    watch.terminated.store(watch.entries.load(Ordering::SeqCst), Ordering::SeqCst);
    isolate.terminate_execution();
}

thread_local! {
    /// The context of the thread's isolate, for callbacks of the engine during a script.
    static CONTEXT: RefCell<Option<v8::Global<v8::Context>>> = const { RefCell::new(None) };
}

/// Sets the context of the thread's scripts.
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

/// The id of the call of the running code, or 0.
pub(super) fn current_call(isolate: &mut v8::Isolate) -> u32 {
    in_context(isolate, |scope| {
        let call = v8::Local::<v8::Object>::try_from(scope.get_continuation_preserved_embedder_data()).ok()?;
        let key = v8::String::new(scope, "id")?;
        call.get(scope, key.into())?.uint32_value(scope)
    })
    .unwrap_or(0)
}

/// The place of the running code.
fn current_frames(isolate: &mut v8::Isolate) -> Vec<Frame> {
    let frames = in_context(isolate, |scope| {
        // The trace of an error is more exact than the engine's own of the running function. Only its text is used: the engine's
        // conversion of errors would run code that the script has set on their prototypes.
        let message = v8::String::empty(scope);
        let error = v8::Local::<v8::Object>::try_from(v8::Exception::error(scope, message)).ok()?;
        let key = v8::String::new(scope, "stack")?;
        let stack = error.get(scope, key.into()).filter(|stack| stack.is_string())?;
        Some(frames(&stack.to_rust_string_lossy(scope)))
    });
    frames.unwrap_or_default()
}

/// The system's id of the calling thread.
#[cfg(target_os = "linux")]
fn this_thread() -> Option<i32> {
    std::fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
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
        // Wall time is the fallback.
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

/// Wall time, on systems where other threads' clocks cannot be read.
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
