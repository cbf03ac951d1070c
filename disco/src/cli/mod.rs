//! The command line as clap structs. Settings are resolved in `project`, commands run in `commands`.

mod cert;
mod change;
mod connect;
mod data;
mod exec;
mod global;
#[cfg(test)]
mod hints;
mod job;
mod look;
mod node;
mod operate;
mod plan;
mod scale;
mod stack;
mod start;
mod usage;
mod value;
mod values;
mod why;
mod work;
mod workload;

use clap::{Parser, Subcommand};

use crate::exit::ExitStatus;

pub(crate) use self::{
    cert::{CertClientArgs, CertCommand, CertRotateArgs, CertSignArgs},
    change::ChangeArgs,
    connect::ConnectArgs,
    data::{KvCommand, KvDelArgs, KvGetArgs, KvLsArgs, KvPutArgs, KvWatchArgs},
    exec::ExecArgs,
    global::GlobalArgs,
    job::{JobCancelArgs, JobCommand, JobRunArgs, JobShowArgs},
    look::{EventsArgs, LogsArgs},
    node::{NodeAddArgs, NodeCommand, NodeRmArgs, NodeSshArgs},
    operate::{BackupCommand, BackupRestoreArgs, BackupSaveArgs, RecoverArgs, UpgradeArgs},
    plan::PlanArgs,
    scale::{ScaleArgs, ScaleTarget},
    stack::{StackArgs, StackFileArgs},
    start::{BootstrapArgs, CompletionArgs, DestroyArgs, InitArgs, Shell},
    usage::{MetricsArgs, TopArgs, TopOrder},
    value::{ConfigCommand, ConfigGetArgs, ConfigSetArgs, SecretCommand, SecretSetArgs},
    values::{Format, Variable, parse_duration},
    why::WhyArgs,
    work::{DeployArgs, DoArgs, ScriptCommand, ScriptPushArgs},
    workload::{DrainArgs, PsArgs, RestartArgs, RmArgs, RollbackArgs, ServicesArgs, StopArgs},
};

/// Turns a few small machines into one cluster that runs itself.
#[derive(Debug, Parser)]
#[command(
    name = "disco",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Run `disco COMMAND --help` for a command's options and examples.",
    after_long_help = ExitStatus::help()
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a project folder: two scripts, types for the editor, settings.
    Init(InitArgs),
    /// Create the cluster that `client.js` describes, or finish and repair it.
    Bootstrap(BootstrapArgs),
    /// Terminate all machines of the cluster, and remove this project's state.
    Destroy(DestroyArgs),
    /// Check the project, the keys, the binaries, the provider and the cluster.
    Doctor,

    /// Show the cluster and its nodes.
    Status,
    /// List the nodes.
    Nodes,
    /// List the tasks: what runs where, and how it is.
    Ps(PsArgs),
    /// List the services with their endpoints.
    Services(ServicesArgs),
    /// List the deployments, the newest last: their state and, if they failed, why.
    Deployments,
    /// Check stack files (compose or fig files), and print the normalised stack.
    Stack(StackArgs),
    /// Show what happened in the cluster.
    Events(EventsArgs),
    /// Show the output of tasks, or the log of a node.
    Logs(LogsArgs),

    /// Say why a task, a service or a node is as it is, and what to do next.
    Why(WhyArgs),
    /// Show what the nodes and the tasks use now: processors and memory.
    Top(TopArgs),
    /// Print a node's metrics in Prometheus' text format.
    Metrics(MetricsArgs),
    /// Run a program beside a running task: a shell on a terminal, a command in a pipe.
    Exec(ExecArgs),

    /// Print what `bootstrap`, `scale` or the cluster itself would create, change and delete, and the cost.
    Plan(PlanArgs),
    /// Set the number of nodes, or of copies of a service.
    Scale(ScaleArgs),
    /// Log in to a node, add a host, or remove a node.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Run a function that `client.js` exports; without a name, list them.
    Do(DoArgs),
    /// Deploy the project's stack file or, without one, call the `deploy` hook of `cluster.js`.
    Deploy(DeployArgs),
    /// Deploy an earlier release of a stack again.
    Rollback(RollbackArgs),
    /// Replace the tasks of a service, or of a whole stack, by new ones of the same version.
    Restart(RestartArgs),
    /// End the tasks of a service, or of a whole stack, until it is restarted, scaled or deployed.
    Stop(StopArgs),
    /// Remove a stack: end its tasks, and forget its services.
    Rm(RmArgs),
    /// Move a node's tasks to other nodes, and give it no new ones.
    Drain(DrainArgs),
    /// Let a drained node have tasks again.
    Undrain(DrainArgs),
    /// Run jobs, and show how their runs ended.
    #[command(subcommand)]
    Job(JobCommand),
    /// Push `cluster.js` to the cluster, or list its versions.
    #[command(subcommand)]
    Script(ScriptCommand),

    /// Read and write the cluster's keys.
    #[command(subcommand)]
    Kv(KvCommand),
    /// Set, list and remove secrets that stacks use.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Set, show and remove configs that stacks use.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Save the cluster's data to a file, or restore it into a new cluster.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Continue with the surviving nodes after a permanent loss of quorum.
    Recover(RecoverArgs),
    /// Install new binaries on all nodes, one after the other.
    Upgrade(UpgradeArgs),
    /// Show, renew and sign certificates.
    #[command(subcommand)]
    Cert(CertCommand),

    /// Operate an existing cluster from this computer, with its saved keys.
    Connect(ConnectArgs),
    /// Print `export` lines with which etcd clients connect to this cluster.
    #[command(after_help = "Examples:\n  eval \"$(disco env)\"")]
    Env,

    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    Completion(CompletionArgs),
    /// Print the manual page.
    #[command(after_help = "Examples:\n  disco man | man -l -\n  disco man > ~/.local/share/man/man1/disco.1")]
    Man,
}
