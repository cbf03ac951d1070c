use std::fmt;
use std::time::Duration;

use super::view::{Order, Task, View};

/// What is to be done now, and how far the rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many tasks the new version shall have now.
    pub new: u64,
    /// Tasks that are to be taken out of the endpoints.
    pub drain: Vec<u64>,
    /// How far it is.
    pub progress: Progress,
}

/// How far a rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on; what it waits for.
    Waits(Waits),
    /// The new version is complete, and nothing else is left.
    Done,
    /// The new version has failed.
    Failed(Failure),
}

/// What a rollout waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// A person.
    Paused,
    /// So many new tasks that are not healthy yet.
    Healthy(u64),
    /// The time between two batches.
    Delay(Duration),
    /// So many old tasks that are draining or ending.
    Gone(u64),
}

/// Why a version has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its tasks failed too often.
    Tasks(u64),
    /// It was not healthy in time.
    Unhealthy(Duration),
    /// There was no node for it in time; the reasons.
    Unplaced(Vec<String>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tasks(1) => f.write_str("a task of the new version failed"),
            Self::Tasks(count) => write!(f, "tasks of the new version failed {count} times"),
            Self::Unhealthy(limit) => write!(f, "the new version was not healthy within {} s", limit.as_secs()),
            Self::Unplaced(reasons) => write!(f, "the new version fits on no node: {}", reasons.join("; ")),
        }
    }
}

/// The next step.
#[must_use]
pub fn step(view: &View) -> Step {
    if let Some(failure) = failure(view) {
        let new = count(view.new.iter().filter(|task| task.stays()));
        return Step { new, drain: Vec::new(), progress: Progress::Failed(failure) };
    }
    let new = target(view);
    let drain = to_drain(view);
    let progress = progress(view, new);
    Step { new, drain, progress }
}

fn failure(view: &View) -> Option<Failure> {
    if view.paused {
        return None;
    }
    if view.failures > view.strategy.max_failures {
        return Some(Failure::Tasks(view.failures));
    }
    let healthy = count(view.new.iter().filter(|task| task.is_available()));
    // Otherwise it waits for the time between batches, or for old tasks, and the new version is not to blame.
    let waits_for_new = !view.unplaced.is_empty() || view.new.iter().any(|task| task.stays() && !task.is_available());
    if !waits_for_new || view.idle_for < view.strategy.limit || healthy >= view.copies {
        return None;
    }
    Some(if view.unplaced.is_empty() {
        Failure::Unhealthy(view.strategy.limit)
    } else {
        Failure::Unplaced(view.unplaced.clone())
    })
}

/// How many tasks the new version shall have now.
fn target(view: &View) -> u64 {
    let staying: Vec<&Task> = view.new.iter().filter(|task| task.stays()).collect();
    let now = count(staying.iter().copied());
    if now >= view.copies {
        // The others are too many: which of them end is the scheduler's choice.
        return view.copies;
    }
    // Without any old task there is nothing to be careful with: the first version, or more copies of the same one.
    if view.old.is_empty() && !view.paused {
        return view.copies;
    }
    if view.paused || wait_for_batch(view).is_some() || staying.iter().any(|task| !task.is_available()) {
        return now;
    }
    // All new tasks are healthy: the next batch, as far as others leave space.
    let exist = count(view.old.iter()) + count(view.new.iter());
    let most = match view.strategy.order {
        Order::StartFirst => view.copies + batch(view),
        Order::StopFirst => view.copies,
    };
    let space = most.saturating_sub(exist);
    view.copies.min(now + batch(view).min(space))
}

/// Old tasks that can be missed now.
fn to_drain(view: &View) -> Vec<u64> {
    if view.paused {
        return Vec::new();
    }
    let mut candidates: Vec<&Task> = view.old.iter().filter(|task| task.stays() && !task.silent).collect();
    // What is no endpoint anyway goes first; then in the order of their ids, so that the oldest goes first.
    candidates.sort_by_key(|task| (task.is_available(), task.id));
    let healthy_new = count(view.new.iter().filter(|task| task.is_available()));
    // How many are to leave now: as many as new ones have taken over, or with the other order those of the next batch.
    let wanted = match view.strategy.order {
        Order::StartFirst => {
            let remain = view.copies.saturating_sub(healthy_new);
            count(candidates.iter().copied()).saturating_sub(remain)
        }
        Order::StopFirst => {
            let leaving = count(view.old.iter().filter(|task| !task.stays()));
            let starting = count(view.new.iter().filter(|task| task.stays() && !task.is_available()));
            let wait = wait_for_batch(view).is_some();
            if wait { 0 } else { batch(view).saturating_sub(leaving + starting) }
        }
    };
    let available = healthy_new + count(view.old.iter().filter(|task| task.is_available()));
    let needed = view.copies.saturating_sub(may_miss(view));
    let mut spare = available.saturating_sub(needed);
    let mut drain = Vec::new();
    for task in candidates.into_iter().take(usize::try_from(wanted).unwrap_or(usize::MAX)) {
        if task.is_available() {
            if spare == 0 {
                break;
            }
            spare -= 1;
        }
        drain.push(task.id);
    }
    drain
}

fn may_miss(view: &View) -> u64 {
    match view.strategy.order {
        Order::StartFirst => view.strategy.max_unavailable,
        Order::StopFirst => view.strategy.max_unavailable.max(1),
    }
}

fn batch(view: &View) -> u64 {
    view.strategy.batch.max(1)
}

/// How long the latest batch has yet to be healthy.
fn wait_for_batch(view: &View) -> Option<Duration> {
    let youngest = view.new.iter().filter(|task| task.stays()).filter_map(|task| task.healthy_for).min()?;
    view.strategy.delay.checked_sub(youngest).filter(|rest| !rest.is_zero())
}

fn progress(view: &View, new: u64) -> Progress {
    let healthy = count(view.new.iter().filter(|task| task.is_available()));
    if healthy >= view.copies && view.old.is_empty() {
        return Progress::Done;
    }
    Progress::Waits(if view.paused {
        Waits::Paused
    } else if healthy < new {
        Waits::Healthy(new - healthy)
    } else if let Some(rest) = wait_for_batch(view).filter(|_| healthy < view.copies) {
        Waits::Delay(rest)
    } else {
        Waits::Gone(count(view.old.iter()))
    })
}

fn count<'a>(tasks: impl Iterator<Item = &'a Task>) -> u64 {
    tasks.count() as u64
}
