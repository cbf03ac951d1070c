use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco events\n  disco events -w -o jsonl")]
pub(crate) struct EventsArgs {
    /// Print new events until interrupted.
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// Number of past events to print first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) lines: u32,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  disco logs 2\n  disco logs -f -n 20 heavyobjects-1\n  disco logs --previous heavyobjects-1"
)]
pub(crate) struct LogsArgs {
    /// Print new lines until interrupted.
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Number of past lines to print first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: u32,

    /// Print the log of the daemon's previous run, up to its end; read over SSH.
    #[arg(short, long, conflicts_with = "follow")]
    pub(crate) previous: bool,

    /// A node's id or name.
    #[arg(value_name = "TARGET", add = clap_complete::ArgValueCandidates::new(crate::project::known_nodes))]
    pub(crate) target: String,
}
