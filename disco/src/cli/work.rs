use clap::{Args, Subcommand};

use super::{ChangeArgs, StackFileArgs};

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
    long_about = "Deploy the project's stack file or, without one, call the `deploy` hook of `cluster.js`.\n\nA stack file is the \
                  first of stack.yml, compose.yaml, compose.yml, docker-compose.yml and fig.yml in the current folder or the \
                  project's, if it has services; `disco stack` shows what it says. The cluster exchanges the tasks of what has \
                  changed, some at a time, each old one after a new one is healthy; a version that fails goes back by itself \
                  (exit 10). What has not changed keeps running. Files of programs are sent once, with at most 1 GiB each. \
                  The `deploy` hook is not called then.\n\nWithout a stack file, sends the project's \
                  files and calls the hook: skips private keys and files that `.discoignore` excludes (gitignore syntax), and \
                  uploads only content that the cluster does not have yet. The hook runs on the leader; its console is printed \
                  here, and this command fails if the hook fails; `--set` passes it variables.",
    after_help = "Examples:\n  disco deploy\n  disco deploy -f stack.yml -f production.yml --name shop\n  disco deploy --set tag=v2 \
                  --set replicas=3\n  disco deploy --dry-run"
)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) files: StackFileArgs,

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
