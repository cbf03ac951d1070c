use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::parse_duration;

#[derive(Debug, Args)]
#[command(
    long_about = "Install the project's `disco` and `discod` on all nodes, one after the other.\n\nUploads the new binaries to \
                  every node and starts them there once before it stops the first daemon. Then restarts node by node, the \
                  leader last, and continues only when the node is healthy and has caught up. If a node does not come back, all \
                  nodes return to the previous binary (exit 10). After an interrupt, run it again: it continues, and skips \
                  nodes that are done.",
    after_help = "Examples:\n  disco upgrade --dry-run\n  disco upgrade\n  disco upgrade --node-timeout 2m -o json"
)]
pub(crate) struct UpgradeArgs {
    /// Print the nodes that would be restarted, in order, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Take over a running upgrade; the other client stops before its next step.
    #[arg(long)]
    pub(crate) take_over: bool,

    /// Time for a restarted node to become healthy and catch up, before all nodes are rolled back.
    // The leader replaces the machine of a node that is silent for a minute.
    #[arg(long, value_name = "TIME", default_value = "40s", value_parser = parse_duration)]
    pub(crate) node_timeout: SignedDuration,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco recover --dry-run\n  disco recover\n  disco recover --addresses \
                        10.1.0.1:5080,10.1.0.2:5080,10.1.0.3:5080\n\nUse it only when a majority of the voters is lost for good; first \
                        bring back every node that can be brought back. If all nodes are alive but have new addresses, use \
                        `--addresses`: the nodes find each other, and none is given up.")]
pub(crate) struct RecoverArgs {
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Give the nodes each other's new addresses; without values, uses the addresses known to the project and its provider.
    #[arg(long, value_name = "ADDR", num_args = 0.., value_delimiter = ',')]
    pub(crate) addresses: Option<Vec<std::net::SocketAddr>>,

    /// Give up the nodes that do not answer, even though others have new addresses and these may, too.
    #[arg(long, conflicts_with = "addresses")]
    pub(crate) give_up: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Write all keys, scripts and deployments to a file.
    #[command(
        after_help = "Examples:\n  disco backup save monday.backup\n  disco backup save last.backup --from heavyobjects-2\n  \
                            disco backup save old.backup --from heavyobjects-2/000007-r1234.backup"
    )]
    Save(BackupSaveArgs),
    /// List the voters' automatic backups.
    #[command(
        after_help = "Examples:\n  disco backup ls\n  disco backup save last.backup --from \"$(disco backup ls -o name | tail -n 1)\""
    )]
    Ls,
    /// Restore a backup into a new cluster of one node.
    #[command(
        after_help = "Examples:\n  disco backup restore monday.backup && disco scale nodes=3\n\nKeys keep their revisions. The \
                            new cluster keeps its nodes, machines and certificates; all its other data is replaced."
    )]
    Restore(BackupRestoreArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BackupSaveArgs {
    /// File to write; an existing file is replaced once the backup is complete.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Fetch a node's automatic backup, as listed by `disco backup ls`; without FILE, the newest one.
    #[arg(long, value_name = "NODE[/FILE]")]
    pub(crate) from: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupRestoreArgs {
    /// A file written by `disco backup save`.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Check the file, print what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
