use std::cell::Cell;
use std::fs;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{ThreadId, available_parallelism};
use std::time::{Duration, Instant};

/// The permit to run a cluster. All tests start at once, and mostly wait: for an election, a certificate's expiry, a process. So
/// a cluster starts when the processors have free capacity, instead of by a number of threads.
///
/// Invariants:
/// - As many clusters as there are processors, and two, run at any time; more, up to `MOST` for each processor, one by one
///   as long as the processors idle and there is memory.
/// - A test holds one permit, however many clusters it makes: a holder never waits for another permit.
/// - A test that measures time ([`Permit::alone`]) runs when no other does, after all waiting ones.
pub struct Permit {
    /// `None` if its thread already holds one.
    share: Option<Share>,
    thread: ThreadId,
    began: Instant,
}

/// How much of the machine a test takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// What a cluster takes.
    One,
    /// The same, before other waiting tests, as it takes longer.
    First,
    /// The whole machine.
    Whole,
}

/// Clusters for each processor, most of which wait.
const MOST: usize = 5;
/// The share of idle processor time for which another cluster is started.
const IDLE: f64 = 0.25;
/// The measuring interval, and the minimum time between two starts, after which a cluster has begun to work.
const MEASURED: Duration = Duration::from_millis(1200);
/// Free memory below which no additional clusters start: a few times what a cluster of debug builds takes.
const MEMORY: u64 = 2 << 30;
/// Longer than any test program takes: a test that still waits would wait forever.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3600);

static GATE: Gate = Gate { state: Mutex::new(State::new()), changed: Condvar::new() };

thread_local! {
    static HELD: Cell<bool> = const { Cell::new(false) };
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    running: usize,
    /// Whether a test has the whole machine.
    whole: bool,
    waiting_first: usize,
    waiting: usize,
    began: Option<Instant>,
    /// The time of the last measurement, the ticks then, and the idle share before.
    looked: Option<(Instant, Ticks)>,
    idle: f64,
}

#[derive(Clone, Copy)]
struct Ticks {
    idle: u64,
    all: u64,
}

impl Permit {
    /// For a test that runs a cluster; [`crate::Project`] and [`crate::RawCluster`] take it automatically.
    #[must_use]
    pub fn one() -> Self {
        Self::of(Share::One)
    }

    /// For a test that takes a minute or more: it starts before others, so that the run does not wait for it at the end.
    #[must_use]
    pub fn first() -> Self {
        Self::of(Share::First)
    }

    /// For a test that asserts a duration: no other test runs at the same time.
    #[must_use]
    pub fn alone() -> Self {
        Self::of(Share::Whole)
    }

    pub(crate) fn of(share: Share) -> Self {
        let thread = std::thread::current().id();
        if HELD.replace(true) {
            return Self { share: None, thread, began: Instant::now() };
        }
        GATE.enter(share);
        Self { share: Some(share), thread, began: Instant::now() }
    }

    /// Detaches a permit that outlives its test from the thread.
    pub(crate) fn detach(self) -> Detached {
        let mut this = self;
        let share = this.share.take();
        if share.is_some() {
            HELD.set(false);
        }
        Detached(share)
    }

    /// Whether this thread holds one, or is covered by one.
    pub(crate) fn is_held() -> bool {
        HELD.get()
    }

    /// For a thread that uses a cluster with its own permit.
    pub(crate) fn covered() -> Covered {
        Covered(HELD.replace(true))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(share) = self.share {
            if std::thread::current().id() == self.thread {
                HELD.set(false);
                ran_for(self.began);
            }
            GATE.leave(share);
        }
    }
}

/// Prints how long this test has run, without its waiting time. `.ci/run` collects these lines.
pub(crate) fn ran_for(began: Instant) {
    // Programs that use this crate, such as `disco-faults`, do not print these lines.
    if let Some(name) = std::thread::current().name().filter(|name| name.contains("::")) {
        println!("ran for {:.1} s: {name}", began.elapsed().as_secs_f64());
    }
}

/// A permit that belongs to no thread.
pub(crate) struct Detached(Option<Share>);

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(share) = self.0 {
            GATE.leave(share);
        }
    }
}

/// While it lives, its thread needs no permit.
pub(crate) struct Covered(bool);

impl Drop for Covered {
    fn drop(&mut self) {
        HELD.set(self.0);
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, share: Share) {
        let since = Instant::now();
        let mut state = self.lock();
        state.wait(share, 1);
        while !state.may_begin(share) {
            assert!(since.elapsed() < LONGEST_WAIT, "no permit: {} clusters run", state.running);
            let (next, _) = self.changed.wait_timeout(state, MEASURED / 4).unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
        state.wait(share, -1);
        state.running += 1;
        state.whole = share == Share::Whole;
        state.began = Some(Instant::now());
    }

    fn leave(&self, share: Share) {
        let mut state = self.lock();
        state.running -= 1;
        state.whole &= share != Share::Whole;
        self.changed.notify_all();
    }
}

impl State {
    const fn new() -> Self {
        Self { running: 0, whole: false, waiting_first: 0, waiting: 0, began: None, looked: None, idle: 0.0 }
    }

    fn wait(&mut self, share: Share, more: isize) {
        let count = match share {
            Share::One => &mut self.waiting,
            Share::First => &mut self.waiting_first,
            Share::Whole => return,
        };
        *count = count.saturating_add_signed(more);
    }

    fn may_begin(&mut self, share: Share) -> bool {
        self.look();
        match share {
            _ if self.whole => false,
            Share::Whole => self.running == 0 && self.waiting_first + self.waiting == 0,
            Share::One if self.waiting_first > 0 => false,
            Share::One | Share::First => {
                let processors = available_parallelism().map_or(1, usize::from);
                self.running < processors + 2 || self.running < MOST * processors && self.has_room(available_memory())
            }
        }
    }

    /// Whether the processors have been idle since the last start, and there is memory for another cluster.
    fn has_room(&self, memory: Option<u64>) -> bool {
        let settled = self.began.is_none_or(|began| began.elapsed() > 2 * MEASURED);
        settled && self.idle > IDLE && memory.is_none_or(|free| free > MEMORY)
    }

    fn look(&mut self) {
        let now = Instant::now();
        if self.looked.is_some_and(|(at, _)| now.duration_since(at) < MEASURED) {
            return;
        }
        let Some(ticks) = Ticks::now() else { return };
        if let Some((_, before)) = self.looked {
            let all = ticks.all.saturating_sub(before.all).max(1);
            // Both are small: a day has less than a billion ticks.
            #[expect(clippy::cast_precision_loss, reason = "a share is wanted")]
            let share = ticks.idle.saturating_sub(before.idle) as f64 / all as f64;
            self.idle = share;
        }
        self.looked = Some((now, ticks));
    }
}

impl Ticks {
    /// The first line of `/proc/stat`, see proc(5): user, nice, system, idle, iowait, …
    fn now() -> Option<Self> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let words = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        // Guest time is included in user time.
        Some(Self { idle: ticks.get(3)? + ticks.get(4)?, all: ticks.iter().take(8).sum() })
    }
}

/// In bytes.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}

/// Makes all tests of this program start at once, unless `RUST_TEST_THREADS` or `--test-threads` is set: each waits for
/// its [`Permit`].
#[macro_export]
macro_rules! start_all_tests_at_once {
    () => {
        extern "C" fn before_main() {
            if std::env::var_os("RUST_TEST_THREADS").is_none() {
                #[expect(unsafe_code, reason = "the harness reads the number of threads from its environment alone")]
                // SAFETY: this runs before `main`, when there is one thread.
                unsafe {
                    std::env::set_var("RUST_TEST_THREADS", "1000");
                }
            }
        }

        #[expect(unsafe_code, reason = "functions that run before `main` are listed in this section")]
        // SAFETY: the section holds pointers to functions of this kind, which the C library calls before `main`.
        #[unsafe(link_section = ".init_array")]
        #[used]
        static BEFORE_MAIN: extern "C" fn() = before_main;
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(running: usize, idle: f64) -> State {
        // Measured a moment ago, so that it is not measured again.
        let looked = Ticks::now().map(|ticks| (Instant::now() + Duration::from_secs(3600), ticks));
        State { running, idle, looked, ..State::new() }
    }

    #[test]
    fn clusters_begin_as_long_as_the_processors_idle() {
        let processors = available_parallelism().map_or(1, usize::from);
        assert!(state(processors + 1, 0.0).may_begin(Share::One));
        assert!(!state(processors + 2, 0.0).may_begin(Share::One));
        assert!(!state(MOST * processors, 1.0).may_begin(Share::One));
        let just_now = State { began: Some(Instant::now()), ..state(processors + 2, 1.0) };
        assert!(!just_now.has_room(None));
        let idle = state(processors + 2, 1.0);
        assert!(idle.has_room(Some(MEMORY + 1)) && !idle.has_room(Some(MEMORY)));
        assert!(!state(processors + 2, IDLE).has_room(None));
    }

    #[test]
    fn the_longest_go_first_and_those_that_measure_last() {
        let mut waiting = State { waiting_first: 1, waiting: 1, ..state(0, 0.0) };
        let may = [Share::First, Share::One, Share::Whole].map(|share| waiting.may_begin(share));
        assert_eq!(may, [true, false, false]);
        assert!(!state(1, 1.0).may_begin(Share::Whole));
        assert!(state(0, 0.0).may_begin(Share::Whole));
        let mut whole = State { whole: true, ..state(1, 1.0) };
        assert!(![Share::First, Share::One, Share::Whole].map(|share| whole.may_begin(share)).contains(&true));
    }

    #[test]
    fn a_thread_takes_one_permit_for_all_that_it_makes() {
        std::thread::spawn(|| {
            let first = Permit::one();
            assert_eq!(Permit::one().share, None);
            drop(first);
            let detached = Permit::one().detach();
            {
                let _covered = Permit::covered();
                assert_eq!(Permit::one().share, None);
            }
            drop(detached);
            assert_eq!(Permit::one().share, Some(Share::One));
        })
        .join()
        .unwrap();
    }
}
