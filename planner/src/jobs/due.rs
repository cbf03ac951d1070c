//! Which tick is due.

use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;

/// A tick that is decided this much later than it was due is late.
const LATE: SignedDuration = SignedDuration::from_secs(60);
/// A recorded tick that is so far in the future was decided by a clock that was wrong: the schedule begins anew.
pub const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// Ticks that are counted one by one.
const MOST_COUNTED: u64 = 1_000;

/// What becomes of ticks that came while nobody could decide them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// The latest one begins a run.
    #[default]
    Last,
    /// None of them does.
    None,
}

/// What is due now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The tick that begins a run.
    pub tick: Option<Timestamp>,
    /// It was to begin more than a minute ago.
    pub is_late: bool,
    /// Ticks that begin none, counted up to a thousand.
    pub missed: u64,
    /// All ticks up to this time are decided, with this.
    pub ticked: Timestamp,
    /// The next tick.
    pub next: Option<Timestamp>,
    /// The recorded time lay so far in the future that it was given up.
    pub begins_anew: bool,
}

/// Decides what is due. `ticked`: up to this time all ticks are decided.
#[must_use]
pub fn due(schedule: &Schedule, now: Timestamp, ticked: Timestamp, catch_up: CatchUp) -> Due {
    if ticked.duration_since(now) > AHEAD {
        return Due { ticked: now, next: schedule.next_after(now), begins_anew: true, ..Due::default() };
    }
    let Some(latest) = latest(schedule, now, ticked) else {
        // A clock that was set back decides nothing again.
        return Due { ticked, next: schedule.next_after(ticked.max(now)), ..Due::default() };
    };
    let before = count_before(schedule, ticked, latest);
    let is_late = now.duration_since(latest) > LATE;
    let begins = !is_late || catch_up == CatchUp::Last;
    Due {
        tick: begins.then_some(latest),
        is_late,
        missed: before + u64::from(!begins),
        ticked: latest,
        next: schedule.next_after(latest.max(now)),
        begins_anew: false,
    }
}

/// The latest tick after `ticked` that is not in the future. It looks back in steps: a minutely schedule has half a million ticks
/// a year, of which the last is wanted.
fn latest(schedule: &Schedule, now: Timestamp, ticked: Timestamp) -> Option<Timestamp> {
    for hours in [1, 24, 24 * 32, 24 * 366] {
        let back = now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
        let found = last_between(schedule, back.max(ticked), now);
        if found.is_some() || back <= ticked {
            return found;
        }
    }
    last_between(schedule, ticked, now)
}

fn last_between(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let mut last = None;
    let mut at = after;
    while let Some(next) = schedule.next_after(at).filter(|next| *next <= until) {
        (last, at) = (Some(next), next);
    }
    last
}

/// Ticks after `ticked` and before `latest`.
fn count_before(schedule: &Schedule, ticked: Timestamp, latest: Timestamp) -> u64 {
    let (mut count, mut at) = (0, ticked);
    while let Some(next) = schedule.next_after(at).filter(|next| *next < latest && count < MOST_COUNTED) {
        (count, at) = (count + 1, next);
    }
    count
}
