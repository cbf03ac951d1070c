//! The loop that runs every controller of the leader.
//!
//! # Invariants
//! - No wake-up is lost: one that comes during a pass begins the next one.
//! - After a pass that changed something the next one follows at once. After one that failed comes a pause, doubled with each
//!   further failure, which wake-ups do not shorten.
//! - The leader records when each controller last ran, for how long, with what outcome, and what it waits for.

use std::future::{Future, pending};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::node::{Leader, Pass, Passes, Woken};

/// Compares the actual with the desired state, and does what is missing.
pub(super) trait Controller<L = Leader> {
    /// Its name in logs and in `disco doctor`.
    const NAME: &'static str;

    /// When its passes begin.
    fn schedule(&self, leader: &L) -> Schedule;

    /// Checks the state once, and acts on it.
    fn pass(&mut self, leader: &L) -> impl Future<Output = Result<Outcome>> + Send;

    /// Returns when an event of the controller itself requires a pass. Dropping it must lose no event.
    fn event(&mut self) -> impl Future<Output = ()> + Send {
        pending()
    }
}

/// What begins a controller's passes, beside its own events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// The longest time from one pass to the next.
    pub(super) period: Duration,
    /// Whether `Node::wake_controllers` begins a pass.
    pub(super) on_wake_up: bool,
    /// Whether a new revision of the store begins a pass, and for how long further ones are collected before it.
    pub(super) on_revision: Option<Duration>,
    /// The pause after a failed pass; `None`: the next one comes as if it had not failed.
    pub(super) pause: Option<Pause>,
}

/// Pauses after failed passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// After the first failure. Each further one doubles it.
    pub(super) first: Duration,
    /// The longest.
    pub(super) longest: Duration,
}

/// The outcome of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing is missing.
    Settled,
    /// Something was changed: more may be missing.
    Changed,
    /// Nothing can be done until this happens.
    Waits(String),
    /// No pass for this time, whatever happens.
    Rests(Duration),
}

/// The signals that begin a pass.
pub(super) struct Signals {
    ticks: Interval,
    woken: Option<Woken>,
    revisions: Option<(watch::Receiver<i64>, Duration)>,
}

/// Runs a controller until this is dropped, at the end of the term.
pub(super) async fn drive<C: Controller>(leader: &Leader, controller: C) {
    let schedule = controller.schedule(leader);
    let signals = Signals::new(schedule, leader.controllers_woken(), leader.raft().store().revisions());
    run(leader, leader.passes(), signals, schedule.pause, controller).await;
}

/// Like [`drive`], on any leader.
pub(super) async fn run<L, C: Controller<L>>(
    leader: &L,
    passes: &Passes,
    mut signals: Signals,
    pause: Option<Pause>,
    mut controller: C,
) {
    let mut failures = 0;
    let mut logged = String::new();
    loop {
        signals.next(controller.event()).await;
        loop {
            let started = Instant::now();
            let outcome = controller.pass(leader).await;
            passes.record(C::NAME, pass(started, &outcome));
            let error = match outcome {
                Ok(outcome) => {
                    failures = 0;
                    logged.clear();
                    match outcome {
                        Outcome::Changed => continue,
                        Outcome::Settled | Outcome::Waits(_) => {}
                        Outcome::Rests(time) => tokio::time::sleep(time).await,
                    }
                    break;
                }
                Err(error) => format!("{error:#}"),
            };
            failures += 1;
            // A night without a quorum would displace all other lines from memory.
            if logged == error {
                tracing::debug!(controller = C::NAME, failures, error, "controller pass failed again");
            } else {
                tracing::warn!(controller = C::NAME, error, "controller pass failed");
                logged = error;
            }
            let Some(pause) = pause else { break };
            // What began the pass is not done yet.
            tokio::time::sleep(pause.after(failures)).await;
        }
    }
}

fn pass(started: Instant, outcome: &Result<Outcome>) -> Pass {
    let (error, waits_for) = match outcome {
        Ok(Outcome::Waits(what)) => (None, Some(what.clone())),
        Ok(_) => (None, None),
        Err(error) => (Some(format!("{error:#}")), None),
    };
    Pass { started, took: started.elapsed(), error, waits_for }
}

// === impl Signals ===

impl Signals {
    pub(super) fn new(schedule: Schedule, woken: Woken, revisions: watch::Receiver<i64>) -> Self {
        let mut ticks = tokio::time::interval(schedule.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            ticks,
            woken: schedule.on_wake_up.then_some(woken),
            revisions: schedule.on_revision.map(|gap| (revisions, gap)),
        }
    }

    /// Returns when a pass is to begin, the first time at once.
    async fn next(&mut self, event: impl Future<Output = ()>) {
        let Self { ticks, woken, revisions } = self;
        let woken = async {
            match woken {
                Some(woken) => woken.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = woken => {}
            () = event => {}
            () = changed(revisions) => {}
            _ = ticks.tick() => {}
        }
    }
}

/// Returns some time after the store has changed, and combines all changes until then. If dropped before, it has consumed none.
async fn changed(revisions: &mut Option<(watch::Receiver<i64>, Duration)>) {
    let Some((revisions, gap)) = revisions else { return pending().await };
    let mut waiting = revisions.clone();
    if waiting.changed().await.is_err() {
        // The store is gone, and the term with it.
        return pending().await;
    }
    tokio::time::sleep(*gap).await;
    revisions.mark_unchanged();
}

// === impl Pause ===

impl Pause {
    /// The same after every failure.
    pub(super) const fn always(time: Duration) -> Self {
        Self { first: time, longest: time }
    }

    fn after(self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::sync::Notify;

    use super::*;
    use crate::node::WakeUps;

    const IDLE: Schedule =
        Schedule { period: Duration::from_secs(3600), on_wake_up: true, on_revision: None, pause: None };

    /// Returns one outcome after the other, and records the time of each call.
    struct Fake {
        outcomes: Vec<Result<Outcome>>,
        passes: Arc<Mutex<Vec<Instant>>>,
        event: Arc<Notify>,
        /// Woken during the first pass.
        wakes_itself: Option<Arc<WakeUps>>,
    }

    impl Controller<()> for Fake {
        const NAME: &'static str = "fake";

        fn schedule(&self, (): &()) -> Schedule {
            IDLE
        }

        async fn pass(&mut self, (): &()) -> Result<Outcome> {
            self.passes.lock().push(Instant::now());
            if let Some(wake_ups) = self.wakes_itself.take() {
                wake_ups.wake();
            }
            if self.outcomes.is_empty() { Ok(Outcome::Settled) } else { self.outcomes.remove(0) }
        }

        async fn event(&mut self) {
            self.event.notified().await;
        }
    }

    struct Bench {
        wake_ups: Arc<WakeUps>,
        revisions: watch::Sender<i64>,
        passes: Arc<Mutex<Vec<Instant>>>,
        event: Arc<Notify>,
        last: Arc<Passes>,
        begun: Instant,
    }

    impl Bench {
        fn new(schedule: Schedule, outcomes: Vec<Result<Outcome>>, wakes_itself: bool) -> Self {
            let bench = Self {
                wake_ups: Arc::default(),
                revisions: watch::Sender::new(0),
                passes: Arc::default(),
                event: Arc::default(),
                last: Arc::default(),
                begun: Instant::now(),
            };
            let (passes, event) = (Arc::clone(&bench.passes), Arc::clone(&bench.event));
            let wakes_itself = wakes_itself.then(|| Arc::clone(&bench.wake_ups));
            let signals = Signals::new(schedule, bench.wake_ups.listen(), bench.revisions.subscribe());
            let (fake, last) = (Fake { outcomes, passes, event, wakes_itself }, Arc::clone(&bench.last));
            tokio::spawn(async move { run(&(), &last, signals, schedule.pause, fake).await });
            bench
        }

        /// The passes so far, in milliseconds since the beginning.
        fn at(&self) -> Vec<u128> {
            self.passes.lock().iter().map(|at| at.duration_since(self.begun).as_millis()).collect()
        }
    }

    async fn wait(ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_up_during_a_pass_begins_the_next() {
        let bench = Bench::new(IDLE, Vec::new(), true);
        wait(10).await;
        assert_eq!(bench.at(), [0, 0], "the first, and the one for the wake-up during it");
        wait(10).await;
        bench.wake_ups.wake();
        wait(10).await;
        bench.event.notify_one();
        wait(10).await;
        assert_eq!(bench.at(), [0, 0, 20, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_after_failures_grow_and_wake_ups_do_not_shorten_them() {
        let pause = Pause { first: Duration::from_millis(100), longest: Duration::from_millis(200) };
        let fails = || Err(anyhow::anyhow!("no majority"));
        let bench = Bench::new(Schedule { pause: Some(pause), ..IDLE }, vec![fails(), fails(), fails()], false);
        wait(50).await;
        assert_eq!(bench.last.all()["fake"].error.as_deref(), Some("no majority"));
        wait(600).await;
        assert_eq!(bench.at(), [0, 100, 300, 500], "it tries again without another signal");
        for _ in 0..100 {
            bench.wake_ups.wake();
            wait(10).await;
        }
        assert_eq!(bench.at()[..4], [0, 100, 300, 500], "{:?}", bench.at());
        assert_eq!(bench.last.all()["fake"].error, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_followed_by_another_pass_and_a_rest_is_respected() {
        let outcomes = vec![
            Ok(Outcome::Changed),
            Ok(Outcome::Changed),
            Ok(Outcome::Rests(Duration::from_millis(50))),
            Ok(Outcome::Waits("a disk".to_owned())),
        ];
        let bench = Bench::new(IDLE, outcomes, false);
        wait(10).await;
        bench.wake_ups.wake();
        wait(100).await;
        assert_eq!(bench.at(), [0, 0, 0, 50]);
        assert_eq!(bench.last.all()["fake"].waits_for.as_deref(), Some("a disk"));
    }

    #[tokio::test(start_paused = true)]
    async fn revisions_in_quick_succession_cause_one_pass() {
        let schedule = Schedule { on_revision: Some(Duration::from_millis(100)), on_wake_up: false, ..IDLE };
        let bench = Bench::new(schedule, Vec::new(), false);
        wait(10).await;
        for revision in 1..=5 {
            bench.revisions.send_replace(revision);
            wait(10).await;
        }
        wait(500).await;
        assert_eq!(bench.at(), [0, 110]);
        bench.revisions.send_replace(6);
        wait(200).await;
        assert_eq!(bench.at().len(), 3);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pause = Pause { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
        assert_eq!([1, 2, 3, 6, 7, 100].map(|failures| pause.after(failures).as_secs()), [1, 2, 4, 32, 60, 60]);
    }
}
