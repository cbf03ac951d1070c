use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

#[derive(Debug, Args)]
#[command(
    long_about = "Show what the nodes and the tasks use now.\n\nProcessor time is in percent: of the whole machine for a node, of one \
                  processor for a task. On a terminal, the numbers are renewed until interrupted; elsewhere they are printed once.",
    after_help = "Examples:\n  disco top\n  disco top shop --sort memory\n  disco top -n 1 -o json | jq '.tasks[] | select(.cpu_percent > 80)'\n  \
                  disco top -n 10 -o jsonl"
)]
pub(crate) struct TopArgs {
    /// Only the tasks of this stack or service, and their nodes.
    #[arg(value_name = "TARGET", add = ArgValueCandidates::new(crate::project::known_targets))]
    pub(crate) target: Option<String>,

    /// How often to show the numbers [default: until interrupted on a terminal, else once].
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,

    /// Time between two measurements.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = super::parse_duration)]
    pub(crate) interval: jiff::SignedDuration,

    /// Order of the tasks.
    #[arg(long, value_enum, value_name = "BY", default_value_t)]
    pub(crate) sort: TopOrder,
}

/// An order of tasks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum TopOrder {
    /// The most processor time first.
    #[default]
    Cpu,
    /// The most memory first.
    Memory,
    /// By their names.
    Name,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Print a node's metrics in Prometheus' text format.\n\nEach node serves them at the socket `metrics.sock` in its data \
                  folder as well and, with `discod --metrics-listen ADDR`, at that address.",
    after_help = "Examples:\n  disco metrics heavyobjects-1\n  disco metrics 2 | grep disco_task_memory_bytes"
)]
pub(crate) struct MetricsArgs {
    /// A node's id or name.
    #[arg(value_name = "NODE", add = ArgValueCandidates::new(crate::project::known_nodes))]
    pub(crate) node: String,
}
