//! The measures, each in a separate file.

mod failover;
mod idle;
mod load;
mod memory;
mod steady;
mod watch;

use std::time::Duration;

use serde::Serialize;

use crate::peers::System;

pub(crate) use failover::failover;
pub(crate) use idle::idle;
pub(crate) use load::{Kind, load};
pub(crate) use memory::memory;
pub(crate) use steady::steady;
pub(crate) use watch::watch;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// Its description, the same for both systems.
    pub(crate) what: String,
    /// Concurrent clients or watchers, if their number varies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clients: Option<usize>,
    /// Unit of `value`.
    pub(crate) unit: &'static str,
    /// Its value.
    pub(crate) value: f64,
}

/// A figure of one system in one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    /// The system.
    pub(crate) system: System,
    /// The round, from 0.
    pub(crate) round: u32,
    /// The figure.
    #[serde(flatten)]
    pub(crate) figure: Figure,
}

// === impl Figure ===

impl Figure {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { what: what.into(), clients: None, unit, value }
    }

    pub(crate) fn at(self, clients: usize) -> Self {
        Self { clients: Some(clients), ..self }
    }
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Microseconds from 1 to a minute, with three significant digits.
pub(crate) fn histogram() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

/// `p50` and `p99` of a histogram of microseconds, in milliseconds.
pub(crate) fn quantiles(what: &str, times: &hdrhistogram::Histogram<u64>) -> [Figure; 2] {
    [("p50", 0.5), ("p99", 0.99)]
        .map(|(name, part)| Figure::new(format!("{what}, {name}"), "ms", times.value_at_quantile(part) as f64 / 1e3))
}
