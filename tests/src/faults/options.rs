use std::path::PathBuf;

use clap::Parser;

use super::fault::Kind;

/// Runs a cluster under faults and checks that it lost nothing.
#[derive(Clone, Debug, Parser)]
#[command(name = "disco-faults")]
pub struct Options {
    /// What the schedule of faults is drawn from; a new one otherwise
    #[arg(long)]
    pub seed: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Go on until so many processes were killed, however long that takes
    #[arg(long)]
    pub kills: Option<u64>,
    /// Nodes: 3, 5 or 7
    #[arg(long, default_value_t = 3)]
    pub nodes: usize,
    /// Clients that work at the same time
    #[arg(long, default_value_t = 8)]
    pub clients: usize,
    /// Only these faults; all that are possible here otherwise
    #[arg(long, value_delimiter = ',')]
    pub faults: Vec<Kind>,
    /// Write the summary there as well, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
