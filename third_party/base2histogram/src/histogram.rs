//! The histogram itself: one counter per bucket that was reached.

use std::marker::PhantomData;

use crate::{PercentileStats, bucket};

/// How often values of each size were recorded.
///
/// The type parameter is that of the published crate, which attaches data to the slots of a sliding window; there are no
/// slots here and nothing of the type is ever held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    /// Counters by bucket number. The last one is not 0, so that equal contents are equal vectors.
    counts: Vec<u64>,
    total: u64,
    slots: PhantomData<fn() -> T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// An empty histogram; allocates nothing.
    pub fn new() -> Self {
        Self { counts: Vec::new(), total: 0, slots: PhantomData }
    }

    /// Counts `value` once.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        if count == 0 {
            return;
        }
        let index = bucket::index_of(value);
        if index >= self.counts.len() {
            // Exactly: what was reached once is rarely passed again, and doubling would waste half of it.
            self.counts.reserve_exact(index + 1 - self.counts.len());
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] = self.counts[index].saturating_add(count);
        self.total = self.total.saturating_add(count);
    }

    /// Number of samples.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The value below which the share `p` (0 to 1) of the samples lies, interpolated within its bucket; 0 without samples.
    pub fn percentile(&self, p: f64) -> u64 {
        if self.total == 0 {
            return 0;
        }
        let rank = ((p.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).clamp(1, self.total);
        let mut before = 0_u64;
        for (index, &count) in self.counts.iter().enumerate() {
            if before.saturating_add(count) >= rank {
                let values = bucket::values_of(index);
                let share = (rank - before) as f64 / count as f64;
                let width = (values.end() - values.start()) as f64;
                return values.start().saturating_add((share * width) as u64).min(*values.end());
            }
            before = before.saturating_add(count);
        }
        // Only reached when counters were saturated.
        self.counts.len().checked_sub(1).map_or(0, |last| *bucket::values_of(last).end())
    }

    /// The usual percentiles at once.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total,
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.10),
            p50: self.percentile(0.50),
            p90: self.percentile(0.90),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }

    /// Buckets that hold samples: number and count, lowest first.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts.iter().copied().enumerate().filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_has_zeros_and_no_allocation() {
        let histogram = Histogram::<()>::new();
        assert_eq!(histogram.counts.capacity(), 0);
        assert_eq!(histogram.percentile_stats().p99, 0);
        assert_eq!(histogram.percentile_stats().samples, 0);
    }

    #[test]
    fn percentiles_are_within_a_quarter() {
        let mut histogram = Histogram::<()>::new();
        for value in 1..=10_000 {
            histogram.record(value);
        }
        for (p, expected) in [(0.001, 10), (0.01, 100), (0.5, 5_000), (0.99, 9_900), (0.999, 9_990)] {
            let found = histogram.percentile(p);
            assert!(found.abs_diff(expected) <= expected / 4, "p{p}: {found} instead of {expected}");
        }
        assert_eq!(histogram.total(), 10_000);
    }

    #[test]
    fn small_values_are_exact_and_order_is_kept() {
        let mut histogram = Histogram::<()>::new();
        histogram.record_n(3, 50);
        histogram.record_n(7, 50);
        assert_eq!((histogram.percentile(0.5), histogram.percentile(0.51)), (3, 7));
        assert_eq!((histogram.percentile(-1.0), histogram.percentile(2.0)), (3, 7));
    }

    #[test]
    fn the_ends_of_the_range_fit() {
        let mut histogram = Histogram::<()>::new();
        histogram.record(0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.percentile(0.5), 0);
        assert_eq!(histogram.percentile(1.0), u64::MAX);
        histogram.record_n(1, u64::MAX);
        histogram.record_n(1, u64::MAX);
        assert_eq!(histogram.percentile(0.5), 1);
    }

    #[test]
    fn equality_is_that_of_contents() {
        let (mut a, mut b) = (Histogram::<()>::new(), Histogram::<()>::new());
        a.record(5);
        a.record(900);
        b.record(900);
        b.record_n(7_000, 0);
        assert_ne!(a, b);
        b.record(5);
        assert_eq!(a, b);
        assert_eq!(a.counts.capacity() * size_of::<u64>(), 288, "as the README says");
    }
}
