use clap::{Args, Subcommand};

use super::ChangeArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Open a shell on a node's machine, or run one command there.
    Ssh(NodeSshArgs),
    /// Make another given host a node.
    Add(NodeAddArgs),
    /// Drain a node, remove it from the membership, and terminate its machine.
    Rm(NodeRmArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco node ssh 2\n  disco node ssh heavyobjects-1 -- uptime")]
pub(crate) struct NodeSshArgs {
    /// A node's id or name.
    #[arg(add = clap_complete::ArgValueCandidates::new(crate::project::known_nodes))]
    pub(crate) node: String,

    /// The command to run; `disco` exits with its exit code.
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Make another given host a node.\n\nConnects to the host, adds it to the project's `hosts.js` (or prints the \
                  line to add to your scripts), and waits until it is a node. Can be repeated: a host that is a node stays as it is.",
    after_help = "Examples:\n  disco node add root@10.0.0.4\n  disco node add web4 -o json"
)]
pub(crate) struct NodeAddArgs {
    /// The machine, as after `ssh`: `user@host:port`, or a name of `~/.ssh/config`.
    #[arg(value_name = "HOST")]
    pub(crate) host: String,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco node rm 4\n  disco node rm heavyobjects-3 --force -y")]
pub(crate) struct NodeRmArgs {
    /// A node's id or name.
    #[arg(add = clap_complete::ArgValueCandidates::new(crate::project::known_nodes))]
    pub(crate) node: String,

    /// Remove the node even if it does not answer.
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}
