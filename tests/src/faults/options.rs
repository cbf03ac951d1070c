use std::path::PathBuf;

use clap::Parser;

use super::fault::Kind;

/// Run a cluster under faults and check that it lost nothing
#[derive(Clone, Debug, Parser)]
#[command(name = "disco-faults")]
pub struct Options {
    /// The seed of the schedule of faults [default: random]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Stop after this many seconds
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Continue until this many processes were killed, without a time limit
    #[arg(long)]
    pub kills: Option<u64>,
    /// The number of nodes: 3, 5 or 7
    #[arg(long, default_value_t = 3)]
    pub nodes: usize,
    /// The number of concurrent clients
    #[arg(long, default_value_t = 8)]
    pub clients: usize,
    /// Make only these faults [default: all that are possible here]
    #[arg(long, value_delimiter = ',')]
    pub faults: Vec<Kind>,
    /// Also write the summary to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
