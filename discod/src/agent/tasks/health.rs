//! What probes say of a task: decisions only.
//!
//! A failure counts only after the start period, and after the first interval, in which probes come quickly, so that a task
//! is healthy soon after it is. The first success ends both.

use std::time::Duration;

use disco_store::typed::HealthSpec;

/// The pause after the first probe; each further one doubles it, up to the one that is requested.
const SOONEST: Duration = Duration::from_millis(100);
/// First probes of tasks that are started together are spread over this time.
const SPREAD: Duration = Duration::from_millis(250);

/// What is known of a task's health.
#[derive(Clone, Debug)]
pub(super) struct Health {
    interval: Duration,
    start_interval: Duration,
    start_period: Duration,
    retries: u32,
    /// Probes so far.
    probes: u32,
    /// Failures in a row that count.
    failures: u32,
    /// There was a success.
    started: bool,
    healthy: bool,
}

// === impl Health ===

impl Health {
    /// Of a task that was just started; or, if `healthy`, of one that was healthy when the daemon ended.
    pub(super) fn new(spec: &HealthSpec, healthy: bool) -> Self {
        let millis = |count: u64| Duration::from_millis(count).max(Duration::from_millis(1));
        Self {
            interval: millis(spec.interval_ms),
            start_interval: millis(if spec.start_interval_ms == 0 { spec.interval_ms } else { spec.start_interval_ms }),
            start_period: Duration::from_millis(spec.start_period_ms),
            retries: spec.retries.max(1),
            probes: 0,
            failures: 0,
            started: healthy,
            healthy,
        }
    }

    /// Whether the task is healthy.
    pub(super) fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Time from the start to the first probe.
    pub(super) fn first(&self, task: u64) -> Duration {
        // Consecutive ids are far apart (the multiplier is that of Fibonacci hashing).
        let spread = task.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
        (SPREAD * u32::try_from(spread).unwrap_or(0) / 1_024).min(self.interval)
    }

    /// Time from the last probe to the next one.
    pub(super) fn pause(&self, since_start: Duration) -> Duration {
        if self.started {
            return self.interval;
        }
        let requested = if since_start < self.start_period { self.start_interval } else { self.interval };
        if since_start >= self.quick() {
            return requested;
        }
        let doubled = SOONEST.saturating_mul(2_u32.saturating_pow(self.probes.saturating_sub(1)));
        doubled.min(requested)
    }

    /// Takes the result of a probe that began at this time after the start. Whether the task is healthy has changed if true.
    pub(super) fn note(&mut self, since_start: Duration, success: bool) -> bool {
        let before = self.healthy;
        self.probes = self.probes.saturating_add(1);
        if success {
            (self.started, self.healthy, self.failures) = (true, true, 0);
        } else if self.started || since_start >= self.quick() {
            self.failures = self.failures.saturating_add(1);
            self.healthy &= self.failures < self.retries;
        }
        before != self.healthy
    }

    /// How long failures do not count.
    fn quick(&self) -> Duration {
        self.start_period.max(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use disco_store::typed::ProbeSpec;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn spec() -> HealthSpec {
        HealthSpec {
            probe: ProbeSpec::Tcp(80),
            interval_ms: 10_000,
            timeout_ms: 1_000,
            retries: 3,
            start_period_ms: 20_000,
            start_interval_ms: 2_000,
        }
    }

    #[test]
    fn a_task_is_healthy_with_the_first_success_and_not_after_failures_in_a_row() {
        let mut health = Health::new(&spec(), false);
        assert!(!health.is_healthy() && !health.note(SECOND, false));
        assert!(health.note(SECOND, true) && health.is_healthy());
        // The start period has ended with the success.
        assert!(!health.note(SECOND * 2, false) && !health.note(SECOND * 3, false));
        assert!(!health.note(SECOND * 4, true));
        assert!(!health.note(SECOND * 5, false) && !health.note(SECOND * 6, false) && health.is_healthy());
        assert!(health.note(SECOND * 7, false) && !health.is_healthy());
        assert!(health.note(SECOND * 8, true) && health.is_healthy());
    }

    #[test]
    fn a_task_that_was_healthy_before_the_daemon_ended_stays_so_until_probes_fail() {
        let mut health = Health::new(&spec(), true);
        assert!(health.is_healthy() && health.pause(Duration::ZERO) == SECOND * 10);
        assert!(!health.note(Duration::ZERO, false) && !health.note(Duration::ZERO, false));
        assert!(health.note(Duration::ZERO, false) && !health.is_healthy());
    }

    #[test]
    fn probes_are_quick_at_first_and_then_as_requested() {
        let mut health = Health::new(&spec(), false);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            health.note(SECOND, false);
            pauses.push(health.pause(SECOND).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(health.pause(SECOND * 20), SECOND * 10);
        health.note(SECOND, true);
        assert_eq!(health.pause(SECOND), SECOND * 10);
        let mut none = HealthSpec { start_period_ms: 0, interval_ms: 1_000, ..spec() };
        none.start_interval_ms = 0;
        let mut health = Health::new(&none, false);
        health.note(SECOND / 2, false);
        assert_eq!(health.pause(SECOND / 2), SOONEST);
    }

    #[test]
    fn first_probes_are_spread() {
        let health = Health::new(&spec(), false);
        let mut times: Vec<Duration> = (1..=20).map(|task| health.first(task)).collect();
        times.sort_unstable();
        times.dedup();
        assert!(times.len() > 15 && times.iter().all(|time| *time <= SPREAD), "{times:?}");
    }
}
