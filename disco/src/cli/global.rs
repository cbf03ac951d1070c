use std::path::PathBuf;

use clap::{ArgAction, Args, builder::FalseyValueParser};
use jiff::SignedDuration;

use super::values::{Format, parse_duration};

/// Flags of every command. `project::Settings` fills in those that are absent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Search for the project from this folder upward.
    #[arg(short = 'C', long, global = true, value_name = "DIR", env = "DISCO_DIRECTORY", hide_env = true)]
    pub(crate) directory: Option<PathBuf>,

    /// Output format.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", env = "DISCO_OUTPUT", hide_env = true)]
    pub(crate) output: Option<Format>,

    /// Answer every question with yes.
    #[arg(
        short,
        long,
        global = true,
        env = "DISCO_YES",
        hide_env = true,
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) yes: bool,

    /// Give up after this time, such as `30s` or `5m`.
    #[arg(long, global = true, value_name = "TIME", env = "DISCO_TIMEOUT", hide_env = true, value_parser = parse_duration)]
    pub(crate) timeout: Option<SignedDuration>,

    /// Connect to this node first, such as `10.0.0.7:5080`.
    #[arg(long, global = true, value_name = "ADDR", env = "DISCO_ADDRESS", hide_env = true, value_delimiter = ',')]
    pub(crate) address: Vec<std::net::SocketAddr>,

    /// Print timestamped lines only: no colour, no spinners.
    #[arg(
        long,
        global = true,
        env = "DISCO_PLAIN",
        hide_env = true,
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    pub(crate) plain: bool,

    /// Increase verbosity (`-v`, `-vv`).
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Print no progress, only data and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}
