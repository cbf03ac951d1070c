//! Histograms over `u64` with a fixed relative precision: the part of the crate `base2histogram` that openraft uses.
//!
//! See `README.md` for why this stands in for the published crate, and when to remove it.

mod bucket;
mod chart;
mod histogram;
mod percentile_stats;

pub use chart::{AsciiChart, DetailedDisplay};
pub use histogram::Histogram;
pub use percentile_stats::PercentileStats;
