//! The one place of this crate that reads the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far a certificate's validity starts in the past: clocks of machines that have just been started differ.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// Seconds since 1970.
#[must_use]
pub fn unix_now() -> u64 {
    // A clock before 1970 gives 0: every certificate is then "not yet valid", which is the right error.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// When a certificate is valid, in seconds since 1970, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: u64,
    /// Last second.
    pub not_after: u64,
}

impl Validity {
    /// From [`CLOCK_SKEW`] ago until `lifetime` from now.
    #[must_use]
    pub fn lasting(lifetime: Duration) -> Self {
        let now = unix_now();
        Self { not_before: now.saturating_sub(CLOCK_SKEW.as_secs()), not_after: now.saturating_add(lifetime.as_secs()) }
    }

    /// The same, but ending no later than `end`: a certificate is useless after the end of its signer's.
    #[must_use]
    pub fn ending_by(self, end: u64) -> Self {
        Self { not_after: self.not_after.min(end), ..self }
    }

    /// From the first to the last second.
    #[must_use]
    pub fn lifetime(self) -> Duration {
        Duration::from_secs(self.not_after.saturating_sub(self.not_before))
    }

    /// The remaining time at `now`, in seconds since 1970; zero once it is over.
    #[must_use]
    pub fn left(self, now: u64) -> Duration {
        Duration::from_secs(self.not_after.saturating_sub(now))
    }

    /// The phase at `now`, in seconds since 1970.
    #[must_use]
    pub fn phase(self, now: u64) -> Phase {
        if now > self.not_after {
            Phase::Expired
        } else if now < self.not_before {
            Phase::Early
        } else if self.left(now) <= self.lifetime() / DUE_WITH {
            Phase::Due
        } else {
            Phase::Valid
        }
    }

    /// Whether a renewal is overdue: half of the time for it has passed.
    #[must_use]
    pub fn is_overdue(self, now: u64) -> bool {
        self.left(now) <= self.lifetime() / (2 * DUE_WITH)
    }
}

/// A certificate is renewed when this fraction (one part in …) of its lifetime is left, so that a node survives weeks of absence.
const DUE_WITH: u32 = 3;

/// The phases of a certificate's life, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before its first second: one of the clocks is wrong.
    Early,
    /// Valid; nothing to do.
    Valid,
    /// Still valid, but due for renewal.
    Due,
    /// Expired: no party accepts it.
    Expired,
}

#[cfg(test)]
mod tests;
