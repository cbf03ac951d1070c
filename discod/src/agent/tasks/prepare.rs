//! What comes before the start of a task: its files come to this node, which may take minutes.

use std::time::Duration;

use disco_store::typed::Goal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::driver::{Driver, NotStarted, Order};

/// When progress is shown first, and how often then: each is a write to the store.
const FIRST: Duration = Duration::from_secs(2);
const OFTEN: Duration = Duration::from_secs(30);
/// Pauses after failures that may pass: the first and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// Prepares a start. `None`: the goal has changed meanwhile. `show` is called with the progress.
pub(super) async fn prepare(
    driver: &dyn Driver,
    order: &Order,
    goals: &mut watch::Receiver<Option<Goal>>,
    mut show: impl FnMut(String),
) -> Option<Result<(), NotStarted>> {
    let shown = watch::Sender::new(String::new());
    let mut preparing = driver.prepare(order, &shown);
    let mut next = Instant::now() + FIRST;
    loop {
        tokio::select! {
            biased;
            prepared = &mut preparing => return Some(prepared),
            Ok(()) = goals.changed() => return None,
            () = sleep_until(next) => {
                show(shown.borrow().clone());
                next = Instant::now() + OFTEN;
            }
        }
    }
}

/// The pause after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(10))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        assert_eq!([1, 2, 3, 100].map(|failures| pause(failures).as_millis()), [250, 500, 1_000, 15_000]);
    }
}
