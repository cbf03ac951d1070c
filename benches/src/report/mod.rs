//! The results: tables and plots for people, JSON for programs.

mod plot;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

pub(crate) use plot::plot;
pub(crate) use table::table;

use crate::measures::Sample;

/// Writes every sample, and a description of the machine.
pub(crate) fn write_json(path: &Path, samples: &[Sample]) -> Result<()> {
    let uname = rustix::system::uname();
    let figures = serde_json::json!({
        "machine": {
            "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "kernel": uname.release().to_string_lossy(),
            "architecture": uname.machine().to_string_lossy(),
        },
        "disco": env!("CARGO_PKG_VERSION"),
        "samples": samples,
    });
    let text = serde_json::to_string_pretty(&figures)?;
    fs::write(path, text + "\n").with_context(|| format!("writing `{}`", path.display()))
}

/// The median, the smallest and the largest value; `None` if there is no value.
pub(crate) fn spread(mut values: Vec<f64>) -> Option<(f64, f64, f64)> {
    values.sort_by(f64::total_cmp);
    Some((values[values.len().checked_sub(1)? / 2], *values.first()?, *values.last()?))
}
