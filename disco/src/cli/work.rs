use clap::{Args, Subcommand};

use super::{ChangeArgs, Variable};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco do\n  disco do greet world")]
pub(crate) struct DoArgs {
    /// Print what would be called, and call nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The exported function to call.
    #[arg(add = clap_complete::ArgValueCandidates::new(crate::project::known_functions))]
    pub(crate) name: Option<String>,

    /// Arguments of the function, after the cluster.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Send the project's files and call the `deploy` hook of `cluster.js`.\n\nSkips private keys and files that \
                  `.discoignore` excludes (gitignore syntax), and uploads only content that the cluster does not have yet. The \
                  hook runs on the leader; its console is printed here, and this command fails if the hook fails.",
    after_help = "Examples:\n  disco deploy\n  disco deploy --set tag=v2 --set replicas=3"
)]
pub(crate) struct DeployArgs {
    /// Pass a variable to the hook; may be repeated.
    #[arg(long, value_name = "K=V")]
    pub(crate) set: Vec<Variable>,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScriptCommand {
    /// Replace the version of `cluster.js` on all nodes while they run.
    Push(ScriptPushArgs),
    /// List the versions stored in the cluster.
    Ls,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Replace the version of `cluster.js` on all nodes while they run.\n\nSends it with the files that it imports. The \
                  cluster refuses a version that does not compile or whose `init` throws, and keeps the previous one.",
    after_help = "Examples:\n  disco script push\n  disco script push --dry-run"
)]
pub(crate) struct ScriptPushArgs {
    /// Have the cluster check the version, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
