//! Histograms drawn as text, one bar per bucket.

use std::fmt;

use crate::{Histogram, bucket};

/// Characters of the longest bar.
const BAR_WIDTH: u64 = 40;

/// Several named histograms to be drawn below each other.
#[derive(Debug, Clone)]
pub struct AsciiChart<T = ()> {
    series: Vec<(String, Histogram<T>)>,
}

impl<T> Default for AsciiChart<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> AsciiChart<T> {
    /// A chart of nothing.
    pub fn new() -> Self {
        Self { series: Vec::new() }
    }

    /// Puts one more histogram below the others.
    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> Self {
        self.series.push((name.to_string(), histogram));
        self
    }

    /// Each bucket that holds samples on a line of its own.
    pub fn detailed(&self) -> DetailedDisplay<'_, T> {
        DetailedDisplay { chart: self }
    }
}

/// What [`AsciiChart::detailed`] prints.
#[derive(Debug)]
pub struct DetailedDisplay<'a, T = ()> {
    chart: &'a AsciiChart<T>,
}

impl<T> fmt::Display for DetailedDisplay<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.chart.series {
            let stats = histogram.percentile_stats();
            writeln!(f, "{name}: n={} p50={} p90={} p99={}", stats.samples, stats.p50, stats.p90, stats.p99)?;
            let largest = histogram.filled().map(|(_, count)| count).max().unwrap_or(1);
            for (index, count) in histogram.filled() {
                let values = bucket::values_of(index);
                let bar = (u128::from(count) * u128::from(BAR_WIDTH)).div_ceil(u128::from(largest)) as usize;
                let range = format!("[{}, {}]", values.start(), values.end());
                writeln!(f, "{range:>24} | {} {count}", "█".repeat(bar))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_follow_the_counts() {
        let mut histogram = Histogram::<()>::new();
        histogram.record_n(10, 4);
        histogram.record_n(100, 1);
        let text = AsciiChart::new().add("latency", histogram).detailed().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "latency: n=5 p50=10 p90=111 p99=111");
        assert!(lines[1].contains("[10, 11]") && lines[1].matches('█').count() == 40, "{text}");
        assert!(lines[2].contains("[96, 111]") && lines[2].matches('█').count() == 10, "{text}");
    }

    #[test]
    fn nothing_is_drawn_as_nothing() {
        assert_eq!(AsciiChart::<()>::new().detailed().to_string(), "");
    }
}
