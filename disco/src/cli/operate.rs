use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::parse_duration;

#[derive(Debug, Args)]
#[command(
    long_about = "Put the project's `disco` and `discod` onto all nodes, one after the other.\n\nThe new binaries are sent to \
                  every node and tried there before the first one is taken down. Then each is restarted with them, the \
                  leader last, and the next only when it is healthy and has caught up. When one does not come back, all go \
                  back to what they ran before (exit 10). Run again after an interrupt, it goes on; nodes that are done are \
                  left alone.",
    after_help = "Examples:\n  disco upgrade --dry-run\n  disco upgrade\n  disco upgrade --node-timeout 2m -o json"
)]
pub(crate) struct UpgradeArgs {
    /// Say which nodes would be restarted, in order, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Begin although somebody else upgrades the cluster, whose command then stops before its next step.
    #[arg(long)]
    pub(crate) take_over: bool,

    /// Time for one node to come back, healthy and with all of the log, before all go back.
    // The leader replaces the machine of a node that is silent for a minute.
    #[arg(long, value_name = "TIME", default_value = "40s", value_parser = parse_duration)]
    pub(crate) node_timeout: SignedDuration,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco recover --dry-run\n  disco recover\n  disco recover --addresses \
                        10.1.0.1:5080,10.1.0.2:5080,10.1.0.3:5080\n\nFor a cluster of which a majority of the voters is gone for good. \
                        Bring back what can be brought back first. Where all nodes live and have come to new addresses, `--addresses` \
                        has them find each other, and none is given up.")]
pub(crate) struct RecoverArgs {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Tell the nodes where the others are now; without values those are asked that the project and its provider know.
    #[arg(long, value_name = "ADDR", num_args = 0.., value_delimiter = ',')]
    pub(crate) addresses: Option<Vec<std::net::SocketAddr>>,

    /// Give up the nodes that do not answer although others have come to new addresses, where they may live as well.
    #[arg(long, conflicts_with = "addresses")]
    pub(crate) give_up: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Write all keys, scripts and deployments into a file.
    #[command(
        after_help = "Examples:\n  disco backup save monday.backup\n  disco backup save last.backup --from heavyobjects-2\n  \
                            disco backup save old.backup --from heavyobjects-2/000007-r1234.backup"
    )]
    Save(BackupSaveArgs),
    /// List the backups that the voters have made by themselves.
    #[command(
        after_help = "Examples:\n  disco backup ls\n  disco backup save last.backup --from \"$(disco backup ls -o name | tail -n 1)\""
    )]
    Ls,
    /// Begin a new cluster of one node with what a file holds.
    #[command(
        after_help = "Examples:\n  disco backup restore monday.backup && disco scale nodes=3\n\nKeys come back with their \
                            revisions. Nodes, machines and certificates stay those of the new cluster; what it held else is \
                            replaced."
    )]
    Restore(BackupRestoreArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BackupSaveArgs {
    /// Where to write it; an existing file is replaced once the backup is complete.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Fetch one that a node has made by itself, as `disco backup ls` names it; without a file's name the node's newest.
    #[arg(long, value_name = "NODE[/FILE]")]
    pub(crate) from: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupRestoreArgs {
    /// What `disco backup save` has written.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Check the file and say what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
