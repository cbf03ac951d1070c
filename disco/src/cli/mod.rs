//! The command line as clap structs, and nothing else: no settings are resolved and nothing is done here.

mod cert;
mod change;
mod connect;
mod data;
mod global;
mod look;
mod node;
mod operate;
mod plan;
mod scale;
mod start;
mod values;
mod work;

use clap::{Parser, Subcommand};

pub(crate) use self::{
    cert::{CertCommand, CertRotateArgs, CertSignArgs},
    change::ChangeArgs,
    connect::ConnectArgs,
    data::{KvCommand, KvDelArgs, KvGetArgs, KvLsArgs, KvPutArgs, KvWatchArgs},
    global::GlobalArgs,
    look::{EventsArgs, LogsArgs},
    node::{NodeCommand, NodeRmArgs, NodeSshArgs},
    operate::{BackupCommand, BackupRestoreArgs, BackupSaveArgs, RecoverArgs, UpgradeArgs},
    plan::PlanArgs,
    scale::ScaleArgs,
    start::{BootstrapArgs, CompletionArgs, DestroyArgs, InitArgs, Shell},
    values::{Format, Variable, parse_duration},
    work::{DeployArgs, DoArgs, ScriptCommand, ScriptPushArgs},
};

/// Turns a few small machines into one cluster that runs itself.
#[derive(Debug, Parser)]
#[command(
    name = "disco",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = "Run `disco COMMAND --help` for a command's options and examples.",
    after_long_help = EXIT_CODES
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Part of `disco --help` and of the manual page.
const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed
   2  usage, configuration or script error, or a confirmation is needed
   3  not allowed
   4  cluster unreachable, or without quorum
   5  refused by a guard: quorum or data would be lost
   6  no such thing
   7  there are changes (`plan --exit-code`)
   8  cancelled
   9  timed out, the work goes on in the cluster
  10  failed and rolled back
  11  could not be placed

Run `disco COMMAND --help` for a command's options and examples.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a project folder: two scripts, types for the editor, settings.
    Init(InitArgs),
    /// Make the cluster that `client.js` describes, or finish and repair it.
    Bootstrap(BootstrapArgs),
    /// End the cluster: every machine of it, and this project's state.
    Destroy(DestroyArgs),
    /// Check the project, the keys, the binaries, the provider and the cluster.
    Doctor,

    /// Show the cluster and its nodes.
    Status,
    /// List the nodes.
    Nodes,
    /// Show what happened in the cluster.
    Events(EventsArgs),
    /// Show the log of a node.
    Logs(LogsArgs),

    /// Say what `bootstrap`, `scale` or the cluster by itself would make, change and delete, and what it costs.
    Plan(PlanArgs),
    /// Set the number of nodes.
    Scale(ScaleArgs),
    /// Work on one node.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Run a function that `client.js` exports; without a name, list them.
    Do(DoArgs),
    /// Send the project's files and call the `deploy` hook of `cluster.js`.
    Deploy(DeployArgs),
    /// The version of `cluster.js` that the cluster runs.
    #[command(subcommand)]
    Script(ScriptCommand),

    /// Read and write the cluster's keys.
    #[command(subcommand)]
    Kv(KvCommand),
    /// Save all that the cluster holds in a file, or begin a new cluster with it.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Go on with the survivors where a majority of the voters is lost for good.
    Recover(RecoverArgs),
    /// Put new binaries onto all nodes, one after the other.
    Upgrade(UpgradeArgs),
    /// The certificates that the cluster's parts know each other by.
    #[command(subcommand)]
    Cert(CertCommand),

    /// Take up a cluster from another computer, with what was kept of its keys.
    Connect(ConnectArgs),
    /// Print `export` lines that let other clients reach this cluster.
    #[command(after_help = "Examples:\n  eval \"$(disco env)\"")]
    Env,

    /// Print a completion script for a shell.
    Completion(CompletionArgs),
    /// Print the manual page.
    #[command(after_help = "Examples:\n  disco man | man -l -\n  disco man > ~/.local/share/man/man1/disco.1")]
    Man,
}
