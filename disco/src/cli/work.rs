use clap::{Args, Subcommand};

use super::{ChangeArgs, Variable};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco do\n  disco do greet world")]
pub(crate) struct DoArgs {
    /// Say what would be called, and call nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The exported function.
    #[arg(add = clap_complete::ArgValueCandidates::new(crate::project::known_functions))]
    pub(crate) name: Option<String>,

    /// Its arguments, after the cluster.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Send the project's files and call the `deploy` hook of `cluster.js`.\n\nFiles that `.discoignore` excludes \
                  (gitignore syntax) and private keys stay here; of the rest only what the cluster does not hold yet is sent. The \
                  hook runs on the leader, its console is shown, and its failure is this command's.",
    after_help = "Examples:\n  disco deploy\n  disco deploy --set tag=v2 --set replicas=3"
)]
pub(crate) struct DeployArgs {
    /// A variable for the hook; may be repeated.
    #[arg(long, value_name = "K=V")]
    pub(crate) set: Vec<Variable>,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScriptCommand {
    /// Replace the version of `cluster.js` on all nodes while they run.
    Push(ScriptPushArgs),
    /// List the versions that the cluster holds.
    Ls,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Replace the version of `cluster.js` on all nodes while they run.\n\nSends it with the files that it imports. A \
                  version that does not compile, or whose `init` throws, is refused and the old one stays.",
    after_help = "Examples:\n  disco script push\n  disco script push --dry-run"
)]
pub(crate) struct ScriptPushArgs {
    /// Let the cluster check the version, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
