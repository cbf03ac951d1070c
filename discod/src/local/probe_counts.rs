use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many probes of tasks had which result since the daemon's start. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ProbeCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl ProbeCounts {
    /// Counts a probe.
    pub fn note(&self, succeeded: bool) {
        let count = if succeeded { &self.0.succeeded } else { &self.0.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Probes that succeeded.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.0.succeeded.load(Ordering::Relaxed)
    }

    /// Probes that failed, or took too long.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }
}
