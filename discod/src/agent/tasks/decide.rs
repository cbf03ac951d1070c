//! What is to be done for a task: decisions only.
//!
//! ```text
//!               ┌───────── back-off ────────┐
//!               v                           │ ended, to be restarted
//! pending ─> starting ─────────────────> running ──goal: stop──> stopping ──> stopped
//!               │ not started               │ ended, not to be restarted
//!               └────> failed <─────────────┘
//! ```
//!
//! Invariants:
//! - A process is started only if this node knows that its copy of the cluster's state is not from before the daemon's
//!   start, and a singleton only while its lease holds.
//! - A goal never goes back: a task that shall stop never runs again.

use std::time::Duration;

use disco_store::typed::{Goal, RestartCondition, RestartSpec, TaskState};

use super::driver::{Cause, End, Start};

/// A task that ran this long has started well: earlier ends do not count any more.
pub(super) const STEADY: Duration = Duration::from_secs(60);
/// The shortest pause before the second restart, doubled before each further one.
const LEAST: Duration = Duration::from_secs(1);
/// The longest pause before a restart.
const LONGEST: Duration = Duration::from_secs(60);

/// What is known of a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// Absent: the cluster has forgotten it.
    pub(super) goal: Option<Goal>,
    /// The goal is not older than the daemon.
    pub(super) confirmed: bool,
    /// Its last start.
    pub(super) last: Option<&'a Start>,
    /// Starts until the last one that ended soon, one after the other.
    pub(super) quick: u32,
    /// Since its last end.
    pub(super) since_end: Duration,
    /// When it is started again.
    pub(super) restart: RestartSpec,
    /// A singleton has a lease: whether it holds.
    pub(super) lease: Option<bool>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until the view changes or this time has passed.
    Wait {
        /// For how long at most.
        time: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// It is to be started; how often it was before.
    Start(u64),
    /// It runs, as it should.
    Watch,
    /// It runs, and is to be asked to end.
    Stop,
    /// It is over for good.
    Finish {
        /// `Stopped` or `Failed`.
        state: TaskState,
        /// Why.
        reason: String,
    },
    /// Nothing of it may be left.
    Remove,
}

/// The next step for a task.
pub(super) fn decide(view: &View<'_>) -> Step {
    let running = view.last.is_some_and(|last| last.end.is_none());
    match view.goal {
        Some(Goal::Run | Goal::Drain) if running => Step::Watch,
        Some(Goal::Stop) if running => Step::Stop,
        // A record that is not there yet is no record that was deleted.
        None if !view.confirmed => Step::Wait { time: None, reason: UNCONFIRMED.to_owned() },
        None if running => Step::Stop,
        None => Step::Remove,
        Some(Goal::Stop) => Step::Finish { state: TaskState::Stopped, reason: stopped(view) },
        Some(goal) => match view.last.and_then(|last| Some((last, last.end.as_ref()?))) {
            Some((last, end)) => ended(view, goal, last, end),
            // Another task replaces it already.
            None if goal == Goal::Drain => Step::Finish { state: TaskState::Stopped, reason: String::new() },
            None => start(view, 0),
        },
    }
}

const UNCONFIRMED: &str = "its node waits for the cluster";

fn stopped(view: &View<'_>) -> String {
    let end = view.last.and_then(|last| last.end.as_ref());
    match end {
        Some(end) if end.cause != Cause::Stopped => end.words(),
        _ => String::new(),
    }
}

fn start(view: &View<'_>, number: u64) -> Step {
    if !view.confirmed {
        return Step::Wait { time: None, reason: UNCONFIRMED.to_owned() };
    }
    if view.lease == Some(false) {
        return Step::Wait { time: None, reason: "its node waits for news from the leader".to_owned() };
    }
    Step::Start(number)
}

/// After an end of a task that shall run.
fn ended(view: &View<'_>, goal: Goal, last: &Start, end: &End) -> Step {
    let finish = |state, reason| Step::Finish { state, reason };
    if goal == Goal::Drain {
        // Another task replaces it already.
        return finish(TaskState::Stopped, end.words());
    }
    let RestartSpec { condition, attempts, .. } = view.restart;
    match condition {
        RestartCondition::Any => {}
        RestartCondition::OnFailure | RestartCondition::Never if end.is_success() => {
            return finish(TaskState::Stopped, end.words());
        }
        RestartCondition::OnFailure => {}
        RestartCondition::Never => return finish(TaskState::Failed, end.words()),
    }
    let own = !matches!(end.cause, Cause::Fenced | Cause::MachineRestarted);
    if own && attempts > 0 && view.quick > attempts {
        return finish(TaskState::Failed, format!("{}, after {attempts} restarts", end.words()));
    }
    let pause = if own { back_off(view.restart, view.quick) } else { Duration::ZERO };
    match pause.checked_sub(view.since_end).filter(|left| !left.is_zero()) {
        Some(left) => Step::Wait { time: Some(left), reason: end.words() },
        None => start(view, last.number + 1),
    }
}

/// The pause before a restart, after so many starts that ended soon.
fn back_off(restart: RestartSpec, quick: u32) -> Duration {
    let first = Duration::from_millis(restart.delay_ms);
    let doubled = |pause: Duration, times: u32| pause.saturating_mul(2_u32.saturating_pow(times));
    // Each start costs a write of the whole cluster: however short the requested pause is, only the first restart is so soon.
    let least = quick.checked_sub(2).map_or(Duration::ZERO, |times| doubled(LEAST, times));
    // A pause that is requested may be longer than those of the back-off.
    doubled(first, quick.saturating_sub(1)).max(least).min(LONGEST.max(first))
}

/// How many of the last starts ended soon, one after the other.
pub(super) fn quick(starts: &[Start]) -> u32 {
    let soon = |start: &&Start| {
        let end = start.end.as_ref();
        let steady = u64::try_from(STEADY.as_millis()).unwrap_or(u64::MAX);
        end.is_some_and(|end| end.at_ms.saturating_sub(start.at_ms) < steady)
    };
    u32::try_from(starts.iter().rev().take_while(soon).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn end(cause: Cause, code: Option<i32>) -> End {
        End { cause, code, signal: None, out_of_memory: false, at_ms: 5_000 }
    }

    fn started(number: u64, end: Option<End>) -> Start {
        Start { number, pid: 7, at_ms: 1_000, end }
    }

    fn view(last: Option<&Start>) -> View<'_> {
        View {
            goal: Some(Goal::Run),
            confirmed: true,
            last,
            quick: 1,
            since_end: Duration::ZERO,
            restart: RestartSpec::default(),
            lease: None,
        }
    }

    fn with(condition: RestartCondition, attempts: u32) -> RestartSpec {
        RestartSpec { condition, delay_ms: 1_000, attempts }
    }

    #[test]
    fn a_task_is_started_only_with_confirmed_news_and_a_lease() {
        assert_eq!(decide(&view(None)), Step::Start(0));
        assert!(matches!(decide(&View { confirmed: false, ..view(None) }), Step::Wait { time: None, .. }));
        assert!(matches!(decide(&View { lease: Some(false), ..view(None) }), Step::Wait { time: None, .. }));
        assert_eq!(decide(&View { lease: Some(true), ..view(None) }), Step::Start(0));
    }

    #[test]
    fn a_running_task_is_adopted_without_news_and_never_ended_for_want_of_it() {
        let running = started(3, None);
        assert_eq!(decide(&View { confirmed: false, ..view(Some(&running)) }), Step::Watch);
        let missing = View { confirmed: false, goal: None, ..view(Some(&running)) };
        assert!(matches!(decide(&missing), Step::Wait { .. }));
        assert_eq!(decide(&View { confirmed: true, ..missing }), Step::Stop);
        assert_eq!(decide(&View { goal: Some(Goal::Drain), ..view(Some(&running)) }), Step::Watch);
        assert_eq!(decide(&View { goal: Some(Goal::Stop), ..view(Some(&running)) }), Step::Stop);
    }

    #[test]
    fn what_the_cluster_has_forgotten_is_removed() {
        let over = started(0, Some(end(Cause::Stopped, Some(0))));
        assert_eq!(decide(&View { goal: None, ..view(Some(&over)) }), Step::Remove);
        assert_eq!(decide(&View { goal: None, ..view(None) }), Step::Remove);
        assert!(matches!(decide(&View { goal: None, confirmed: false, ..view(None) }), Step::Wait { .. }));
    }

    #[test]
    fn a_task_that_shall_stop_is_stopped_however_it_ended() {
        let stopped = |last: Option<&Start>| match decide(&View { goal: Some(Goal::Stop), ..view(last) }) {
            Step::Finish { state: TaskState::Stopped, reason } => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(stopped(None), "");
        assert_eq!(stopped(Some(&started(0, Some(end(Cause::Stopped, Some(1)))))), "");
        assert_eq!(stopped(Some(&started(0, Some(end(Cause::Killed, None))))), "killed after its grace time");
    }

    #[test]
    fn pauses_before_restarts_double_up_to_a_minute() {
        let crashed = started(4, Some(end(Cause::ByItself, Some(3))));
        let pause = |quick, since_end| match decide(&View { quick, since_end, ..view(Some(&crashed)) }) {
            Step::Wait { time, reason } => {
                assert_eq!(reason, "exit code 3");
                time
            }
            Step::Start(5) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(pause(0, Duration::ZERO), Some(SECOND));
        assert_eq!(pause(1, SECOND / 4), Some(SECOND * 3 / 4));
        assert_eq!(pause(3, Duration::ZERO), Some(SECOND * 4));
        assert_eq!(pause(40, Duration::ZERO), Some(LONGEST));
        assert_eq!(pause(3, SECOND * 4), None);
    }

    #[test]
    fn the_condition_and_the_attempts_end_restarts() {
        let next = |restart, quick, code| {
            let last = started(2, Some(end(Cause::ByItself, Some(code))));
            decide(&View { restart, quick, since_end: LONGEST, ..view(Some(&last)) })
        };
        let finished = |state, reason: &str| Step::Finish { state, reason: reason.to_owned() };
        use RestartCondition::{Any, Never, OnFailure};
        assert_eq!(next(with(Any, 0), 9, 0), Step::Start(3));
        assert_eq!(next(with(OnFailure, 0), 9, 1), Step::Start(3));
        assert_eq!(next(with(OnFailure, 0), 1, 0), finished(TaskState::Stopped, "exit code 0"));
        assert_eq!(next(with(Never, 0), 1, 0), finished(TaskState::Stopped, "exit code 0"));
        assert_eq!(next(with(Never, 0), 1, 2), finished(TaskState::Failed, "exit code 2"));
        assert_eq!(next(with(Any, 2), 2, 1), Step::Start(3));
        assert_eq!(next(with(Any, 2), 3, 1), finished(TaskState::Failed, "exit code 1, after 2 restarts"));
    }

    #[test]
    fn an_end_that_is_not_the_tasks_own_neither_counts_nor_waits() {
        for cause in [Cause::Fenced, Cause::MachineRestarted] {
            let last = started(2, Some(end(cause, None)));
            assert_eq!(
                decide(&View { restart: with(RestartCondition::Any, 1), quick: 9, ..view(Some(&last)) }),
                Step::Start(3)
            );
        }
        let fenced = started(2, Some(end(Cause::Fenced, None)));
        assert!(matches!(decide(&View { lease: Some(false), ..view(Some(&fenced)) }), Step::Wait { .. }));
    }

    #[test]
    fn only_the_first_restart_is_at_once() {
        let pause = |delay_ms, quick| back_off(RestartSpec { delay_ms, ..RestartSpec::default() }, quick);
        assert_eq!([0, 1, 2, 3, 9].map(|quick| pause(0, quick).as_secs()), [0, 0, 1, 2, 60]);
        assert_eq!([1, 2, 3].map(|quick| pause(1_000, quick).as_secs()), [1, 2, 4]);
        assert_eq!([1, 2, 3].map(|quick| pause(90_000, quick).as_secs()), [90, 90, 90]);
    }

    #[test]
    fn a_draining_task_that_ends_is_not_restarted() {
        let last = started(0, Some(end(Cause::ByItself, Some(1))));
        let step = decide(&View { goal: Some(Goal::Drain), ..view(Some(&last)) });
        assert_eq!(step, Step::Finish { state: TaskState::Stopped, reason: "exit code 1".to_owned() });
    }

    #[test]
    fn only_ends_after_a_short_time_count_as_quick() {
        let ran = |number, seconds: u64| {
            let end = End { at_ms: 1_000 + seconds * 1_000, ..end(Cause::ByItself, Some(1)) };
            started(number, Some(end))
        };
        assert_eq!(quick(&[ran(0, 1), ran(1, 61), ran(2, 2), ran(3, 59)]), 2);
        assert_eq!(quick(&[ran(0, 1), ran(1, 60)]), 0);
        assert_eq!(quick(&[]), 0);
    }
}
