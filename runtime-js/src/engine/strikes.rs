//! Functions that exceeded limits, and how long each is refused.
//!
//! Every exceeded limit costs an isolate, and a dropped isolate leaks memory: a hook that is called every few seconds and never
//! ends would exhaust the machine. So after a few times it is refused for a while, and longer each further
//! time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often a function may exceed a limit before it is refused.
const FREE: u32 = 3;
/// The first time of refusal; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(60);
/// The longest time of refusal.
const LONGEST: Duration = Duration::from_secs(3600);

/// Shared by all threads of an engine.
pub(crate) type SharedStrikes = Arc<Mutex<Strikes>>;

/// By the function's name, for one script version.
#[derive(Default)]
pub(crate) struct Strikes(HashMap<String, Strike>);

struct Strike {
    count: u32,
    refused_until: Option<Instant>,
    reason: String,
}

impl Strikes {
    /// Records that a function exceeded a limit.
    pub(super) fn add(&mut self, function: &str, reason: &str, now: Instant) {
        let strike = self.0.entry(function.to_owned()).or_insert_with(|| Strike {
            count: 0,
            refused_until: None,
            reason: String::new(),
        });
        strike.count += 1;
        reason.clone_into(&mut strike.reason);
        if let Some(further) = strike.count.checked_sub(FREE) {
            let pause = FIRST.saturating_mul(1 << further.min(16)).min(LONGEST);
            strike.refused_until = Some(now + pause);
        }
    }

    /// Records that a function could not be stopped: it is refused for the longest time at once.
    pub(super) fn add_at_once(&mut self, function: &str, reason: &str, now: Instant) {
        self.add(function, reason, now);
        if let Some(strike) = self.0.get_mut(function) {
            strike.refused_until = Some(now + LONGEST);
        }
    }

    /// Records that a function ended normally.
    pub(super) fn forgive(&mut self, function: &str) {
        self.0.remove(function);
    }

    /// The remaining time for which the function is refused, and why.
    pub(super) fn refused(&self, function: &str, now: Instant) -> Option<(Duration, &str)> {
        let strike = self.0.get(function)?;
        let left = strike.refused_until?.checked_duration_since(now)?;
        Some((left, &strike.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_time_it_is_refused_and_then_for_longer() {
        let (mut strikes, start) = (Strikes::default(), Instant::now());
        let second = Duration::from_secs(1);
        for _ in 0..2 {
            strikes.add("health", "ran", start);
            assert!(strikes.refused("health", start).is_none());
        }
        strikes.add("health", "ran", start);
        assert_eq!(strikes.refused("health", start + second), Some((FIRST - second, "ran")));
        assert!(strikes.refused("leader", start).is_none());
        assert!(strikes.refused("health", start + FIRST + second).is_none());
        strikes.add("health", "ran", start);
        assert_eq!(strikes.refused("health", start), Some((FIRST * 2, "ran")));
        for _ in 0..100 {
            strikes.add("health", "ran", start);
        }
        assert_eq!(strikes.refused("health", start), Some((LONGEST, "ran")));
        strikes.forgive("health");
        assert!(strikes.refused("health", start).is_none());
        strikes.add_at_once("leader", "ran", start);
        assert_eq!(strikes.refused("leader", start), Some((LONGEST, "ran")));
    }
}
