//! Runs one task: carries out what [`decide`](super::decide) decides.

mod record;
mod reload;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use disco_shim::boottime_ms;
use disco_store::typed::{Goal, GroupRecord, TaskRecord, TaskState, TaskStateRecord};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::decide::{STEADY, Step, View, decide, quick};
use super::driver::{Driver, End, NotStarted, Order, Start};
use super::health::Health;
use super::prepare::{pause, prepare};
use super::probes::probe;
use super::states::States;
use crate::clock;
use crate::local::ProbeCounts;

/// Pause after a failure of the node itself.
const AGAIN: Duration = Duration::from_secs(1);
/// Pause before a start that came too early is tried again.
const SOON: Duration = Duration::from_millis(100);
/// Requests to end that a shim may leave unanswered before it is killed.
const PATIENCE: u32 = 3;
/// Shortest time between two records that differ in the reason alone: an answer may have a time in it.
const REASONS: Duration = Duration::from_secs(60);

/// What the tasks of a node share.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) states: States,
    /// This node's copy of the cluster's state is not older than the daemon.
    pub(super) confirmed: watch::Receiver<bool>,
    /// Until when singletons may run, by [`boottime_ms`].
    pub(super) lease_ms: watch::Receiver<u64>,
    /// A task's record as it is now.
    pub(super) look: Arc<dyn Fn(u64) -> Option<TaskRecord> + Send + Sync>,
    /// What is recorded of a task now.
    pub(super) recorded: Arc<dyn Fn(u64) -> Option<TaskStateRecord> + Send + Sync>,
    /// A version of a service.
    pub(super) version: Arc<dyn Fn(u64) -> Option<GroupRecord> + Send + Sync>,
    /// The IP address at which others reach the ports.
    pub(super) address: String,
    /// Counts the results of probes.
    pub(super) probes: ProbeCounts,
}

type Probing = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct Actor {
    context: Context,
    order: Order,
    /// Absent: the cluster has forgotten the task.
    goals: watch::Receiver<Option<Goal>>,
    last: Option<Start>,
    quick: u32,
    /// Attempts to bring its files here that failed in a row.
    unprepared: u32,
    /// When its last end was seen, and how long ago that was then.
    ended: (Instant, Duration),
    healthy: bool,
    healthy_since: Option<String>,
    reason: String,
    /// The version whose secrets and configs it has; 0: none.
    applied: u64,
}

/// Runs a task until it is over for good, or forgotten and removed.
pub(super) async fn run(context: Context, order: Order, goals: watch::Receiver<Option<Goal>>) {
    let id = order.task.id;
    let starts = starts(&*context.driver, id).await;
    let mut actor = Actor {
        context,
        order,
        goals,
        quick: quick(&starts),
        unprepared: 0,
        last: starts.last().cloned(),
        ended: (Instant::now(), Duration::ZERO),
        healthy: false,
        healthy_since: None,
        reason: String::new(),
        applied: 0,
    };
    actor.adopt();
    while actor.step().await {}
}

/// What was started of a task.
async fn starts(driver: &dyn Driver, id: u64) -> Vec<Start> {
    loop {
        match driver.starts(id).await {
            Ok(starts) => return starts,
            Err(error) => tracing::error!(task = id, error = format!("{error:#}"), "cannot read what was started"),
        }
        sleep(AGAIN).await;
    }
}

// === impl Actor ===

impl Actor {
    fn id(&self) -> u64 {
        self.order.task.id
    }

    /// Continues where the last daemon ended.
    fn adopt(&mut self) {
        let Some(last) = &self.last else { return };
        if let Some(end) = &last.end {
            self.ended.1 = since(end.at_ms);
            return;
        }
        let recorded = self.context.states.get(self.id());
        let recorded = recorded.filter(|state| state.started_at.as_ref() == Some(&clock::rfc3339_of(last.at_ms)));
        if let Some(state) = recorded {
            (self.healthy, self.healthy_since, self.reason) = (state.healthy, state.healthy_since, state.reason);
            self.applied = state.applied;
        }
        tracing::info!(task = self.id(), pid = last.pid, "adopted a running task");
    }

    /// Carries out the next step. False if it was the last one.
    async fn step(&mut self) -> bool {
        let goal = *self.goals.borrow_and_update();
        let singleton = self.order.group.spec.singleton;
        let view = View {
            goal,
            confirmed: *self.context.confirmed.borrow_and_update(),
            last: self.last.as_ref(),
            quick: self.quick,
            since_end: self.ended.0.elapsed() + self.ended.1,
            restart: self.order.group.spec.restart,
            lease: singleton.then(|| *self.context.lease_ms.borrow_and_update() > boottime_ms()),
        };
        match decide(&view) {
            Step::Wait { time, reason } => {
                if goal.is_some() {
                    self.reason = reason;
                    self.publish(TaskState::Starting);
                }
                self.wait(time).await;
                true
            }
            Step::Start(number) => self.start(number).await,
            Step::Watch | Step::Stop => {
                self.watch().await;
                true
            }
            Step::Finish { state, reason } => {
                self.finish(state, reason, false);
                false
            }
            Step::Remove => {
                self.remove().await;
                false
            }
        }
    }

    /// Until something has changed, or the time is over.
    async fn wait(&mut self, time: Option<Duration>) {
        let singleton = self.order.group.spec.singleton;
        tokio::select! {
            biased;
            Ok(()) = self.goals.changed() => {}
            Ok(()) = self.context.confirmed.changed() => {}
            Ok(()) = self.context.lease_ms.changed(), if singleton => {}
            () = sleep(time.unwrap_or(Duration::MAX)) => {}
        }
    }

    async fn start(&mut self, number: u64) -> bool {
        if let Some(goes_on) = self.prepare().await {
            return goes_on;
        }
        // What this actor was last sent may be older than the news that allow the start.
        let goal = (self.context.look)(self.id()).map(|task| task.goal);
        if !matches!(goal, Some(Goal::Run | Goal::Drain)) {
            self.wait(Some(SOON)).await;
            return true;
        }
        // This actor may have begun before the cluster's newest state was here.
        if let Some(state) = (self.context.recorded)(self.id()).filter(|state| state.gone) {
            self.context.states.adopt(state);
            return false;
        }
        if self.look_again().await {
            return true;
        }
        self.follow_version();
        self.reason.clear();
        self.publish(TaskState::Starting);
        let fence = self.order.group.spec.singleton.then(|| *self.context.lease_ms.borrow());
        match self.context.driver.start(&self.order, number, fence).await {
            Ok(start) => {
                tracing::info!(task = self.id(), number, pid = start.pid, "started a task");
                self.last = Some(start);
                self.applied = if self.order.group.spec.values.is_empty() { 0 } else { self.order.group.id };
                let well = self.order.group.spec.health.is_none();
                self.set_healthy(well);
                true
            }
            Err(NotStarted::Later(why)) => {
                self.reason = why;
                self.publish(TaskState::Starting);
                self.wait(Some(SOON)).await;
                self.look_again().await;
                true
            }
            Err(NotStarted::Failed(why)) => self.not_started(why, false).await,
            Err(NotStarted::Refused(why)) => self.not_started(why, true).await,
        }
    }

    /// Brings its files to this node. `Some`: it is not to be started now, and whether this actor goes on.
    async fn prepare(&mut self) -> Option<bool> {
        let (driver, order, mut goals) = (self.context.driver.clone(), self.order.clone(), self.goals.clone());
        let show = |progress| {
            self.reason = progress;
            self.publish(TaskState::Starting);
        };
        match prepare(&*driver, &order, &mut goals, show).await {
            None => Some(true),
            Some(Ok(())) => {
                self.unprepared = 0;
                None
            }
            Some(Err(NotStarted::Later(why))) => {
                self.reason = why;
                self.publish(TaskState::Starting);
                self.unprepared = self.unprepared.saturating_add(1);
                self.wait(Some(pause(self.unprepared))).await;
                Some(true)
            }
            Some(Err(NotStarted::Failed(why))) => Some(self.not_started(why, false).await),
            Some(Err(NotStarted::Refused(why))) => Some(self.not_started(why, true).await),
        }
    }

    async fn not_started(&mut self, why: String, refused: bool) -> bool {
        // It may itself have the port that it lacks.
        let is_there = self.look_again().await;
        if !is_there {
            self.finish(TaskState::Failed, why, refused);
        }
        is_there
    }

    /// Whether there is a start that was not known: of an earlier daemon, whose shim recorded it only after this one's start.
    async fn look_again(&mut self) -> bool {
        let starts = starts(&*self.context.driver, self.id()).await;
        let number = |start: Option<&Start>| start.map(|start| start.number);
        if number(starts.last()) == number(self.last.as_ref()) {
            return false;
        }
        (self.quick, self.last) = (quick(&starts), starts.last().cloned());
        self.adopt();
        true
    }

    /// While it runs: probes it, keeps a singleton's lease, and asks it to end if it shall. Returns after its end.
    async fn watch(&mut self) {
        let Some(Start { number, at_ms, .. }) = self.last else { return };
        let (id, driver, order) = (self.id(), self.context.driver.clone(), self.order.clone());
        let spec = order.group.spec.health.clone();
        let singleton = order.group.spec.singleton;
        let mut health = spec.as_ref().map(|spec| Health::new(spec, self.healthy));
        if health.is_none() && !self.healthy {
            self.set_healthy(true);
        }
        let (watched, before) = (Instant::now(), since(at_ms));
        let mut next_probe = watched + health.as_ref().map_or(Duration::ZERO, |health| health.first(id));
        let mut probing: Option<(Duration, Probing)> = None;
        let mut reasoned = watched.checked_sub(REASONS);
        let mut stop_at = Some(watched);
        let mut unanswered = 0;
        let mut reload_at = watched;
        let mut lease_ms = self.context.lease_ms.clone();
        lease_ms.mark_changed();
        let mut ended = std::pin::pin!(driver.ended(id, number));
        self.publish(TaskState::Running);
        let end = loop {
            let goal = *self.goals.borrow_and_update();
            let shall_end = goal == Some(Goal::Stop) || goal.is_none() && *self.context.confirmed.borrow_and_update();
            if shall_end {
                probing = None;
            }
            let reloads = !shall_end && self.shall_reload();
            tokio::select! {
                biased;
                end = &mut ended => break end,
                () = sleep_until(stop_at.unwrap_or(watched)), if shall_end && stop_at.is_some() => {
                    stop_at = self.stop(number, unanswered).await;
                    unanswered += 1;
                }
                Ok(()) = self.goals.changed() => {}
                Ok(()) = self.context.confirmed.changed() => {}
                () = sleep_until(reload_at), if reloads => reload_at = self.reload(number).await,
                Ok(()) = lease_ms.changed(), if singleton => {
                    let at_ms = *lease_ms.borrow_and_update();
                    self.fence(number, at_ms).await;
                }
                result = finished(&mut probing) => {
                    let Some(health) = &mut health else { continue };
                    let (began, result) = result;
                    probing = None;
                    self.context.probes.note(result.is_ok());
                    let changed = health.note(began, result.is_ok());
                    next_probe = Instant::now() + health.pause(began);
                    self.reason = result.err().unwrap_or_default();
                    if changed {
                        self.set_healthy(health.is_healthy());
                    }
                    if changed || reasoned.is_none_or(|last| last.elapsed() >= REASONS) {
                        reasoned = Some(Instant::now());
                        self.publish(TaskState::Running);
                    }
                }
                () = sleep_until(next_probe), if health.is_some() && probing.is_none() && !shall_end => {
                    let Some(spec) = spec.clone() else { continue };
                    let (driver, order) = (driver.clone(), order.clone());
                    let probe = Box::pin(async move { probe(&*driver, &order, &spec).await });
                    probing = Some((watched.elapsed() + before, probe));
                }
            }
        };
        self.note_end(end);
    }

    /// Asks it to end, or kills it if too many requests were not answered. Returns when that is to be tried again.
    async fn stop(&mut self, number: u64, unanswered: u32) -> Option<Instant> {
        let driver = &self.context.driver;
        let asked = match unanswered {
            ..PATIENCE => driver.stop(self.id(), number).await,
            _ => driver.kill(self.id(), number).await,
        };
        match asked {
            Ok(()) => {
                self.set_healthy(false);
                self.reason.clear();
                self.publish(TaskState::Stopping);
                None
            }
            Err(error) => {
                // It may be about to end.
                tracing::debug!(task = self.id(), error = format!("{error:#}"), "cannot ask a task to end");
                Some(Instant::now() + AGAIN)
            }
        }
    }

    async fn fence(&self, number: u64, at_ms: u64) {
        // Of an earlier daemon, which may have moved it further.
        if at_ms <= boottime_ms() {
            return;
        }
        if let Err(error) = self.context.driver.fence(self.id(), number, at_ms).await {
            tracing::warn!(task = self.id(), error = format!("{error:#}"), "cannot renew the lease of a singleton");
        }
    }

    fn note_end(&mut self, end: End) {
        tracing::info!(task = self.id(), end = end.words(), "a task ended");
        self.set_healthy(false);
        self.ended = (Instant::now(), Duration::ZERO);
        if let Some(last) = &mut self.last {
            let ran = Duration::from_millis(end.at_ms.saturating_sub(last.at_ms));
            self.quick = if ran >= STEADY { 0 } else { self.quick.saturating_add(1) };
            last.end = Some(end);
        }
    }

    fn set_healthy(&mut self, healthy: bool) {
        if self.healthy != healthy {
            self.healthy_since = healthy.then(clock::rfc3339);
        }
        self.healthy = healthy;
    }

    fn finish(&mut self, state: TaskState, reason: String, refused: bool) {
        self.set_healthy(false);
        self.reason = reason;
        let record = TaskStateRecord { refused, gone: true, ..self.record(state) };
        if state == TaskState::Failed {
            tracing::warn!(task = record.id, refused, reason = record.reason, "a task failed");
        }
        self.context.states.set(record);
    }

    async fn remove(&self) {
        let id = self.id();
        while let Err(error) = self.context.driver.remove(id).await {
            tracing::warn!(task = id, error = format!("{error:#}"), "cannot remove a task");
            sleep(AGAIN).await;
        }
        self.context.states.forget(id);
    }

    fn publish(&self, state: TaskState) {
        self.context.states.set(self.record(state));
    }
}

/// Time since a Unix time; zero if the clock was set back.
fn since(at_ms: u64) -> Duration {
    let now = u64::try_from(clock::unix_ms()).unwrap_or(0);
    Duration::from_millis(now.saturating_sub(at_ms))
}

/// When the probe under way began, after the start, and its result.
async fn finished(probing: &mut Option<(Duration, Probing)>) -> (Duration, Result<(), String>) {
    match probing {
        Some((began, probe)) => (*began, probe.await),
        None => std::future::pending().await,
    }
}
