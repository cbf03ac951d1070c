//! Decisions that take a vote away, based on signs of life that are newer than the decision's start.
//!
//! What a leader has received is up to [`Policy::suspect_after`] old, and a new leader has received nothing yet. A
//! voter that died within that time still appears to live, and relying on it could leave a membership whose majority is
//! dead.

use std::time::{Duration, Instant};

use disco_planner::{Member, Policy};

use super::view::{planned, policy};
use crate::node::Leader;

/// How often the members are checked again.
const LOOK: Duration = Duration::from_millis(20);

/// Decides by what is known, and if that allows it, again by only those members that have given a sign of life since. A
/// living member gives one within a heartbeat, so a yes takes that long, and a no at most the time after which silence
/// counts.
///
/// # Errors
/// The reason that `decide` returns.
pub async fn confirmed<E>(leader: &Leader, decide: impl Fn(&[Member], &Policy) -> Result<(), E>) -> Result<(), E> {
    let known = policy(leader);
    decide(&planned(leader), &known)?;
    let started = Instant::now();
    loop {
        let silence = started.elapsed();
        let answer = decide(&planned(leader), &Policy { suspect_after: silence.min(known.suspect_after), ..known });
        if answer.is_ok() || silence > known.suspect_after {
            return answer;
        }
        tokio::time::sleep(LOOK).await;
    }
}
