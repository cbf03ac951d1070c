//! The command line.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Parser;

use crate::bug::Bug;

/// Simulate clusters of Disco with faults, and check invariants
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Run only this seed, in this process
    #[arg(long, conflicts_with = "seeds")]
    pub seed: Option<u64>,

    /// Run this many seeds, each in its own process
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub seeds: u64,

    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub from: u64,

    /// How many seeds run concurrently [default: the number of processors]
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,

    /// The minimum and maximum number of nodes in a cluster
    #[arg(long, value_name = "LEAST..MOST", default_value = "3..50", value_parser = nodes)]
    pub nodes: RangeInclusive<usize>,

    /// Time limit of one seed, in seconds of real time: a seed that takes longer counts as failed
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub limit: Duration,

    /// Reintroduce a known bug, to verify that it is found
    #[arg(long, value_enum)]
    pub bug: Option<Bug>,

    /// Occasionally kill all nodes, and have all of them request votes at the same moment after their restart
    #[arg(long)]
    pub rivals: bool,

    /// Stop at the first seed that fails
    #[arg(long)]
    pub stop: bool,

    /// Print all events on standard error
    #[arg(long, requires = "seed")]
    pub trace: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| format!("`{text}`: {error}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("`{text}`: {error}"))
}

/// `5` or `3..50`, both ends included.
fn nodes(text: &str) -> Result<RangeInclusive<usize>, String> {
    let number = |text: &str| text.parse::<usize>().map_err(|error| format!("`{text}`: {error}"));
    let range = match text.split_once("..") {
        Some((least, most)) => number(least)?..=number(most)?,
        None => number(text)?..=number(text)?,
    };
    if *range.start() < 1 || range.is_empty() || *range.end() > 50 {
        return Err("from 1 to 50 nodes, the smaller number first".to_owned());
    }
    Ok(range)
}
