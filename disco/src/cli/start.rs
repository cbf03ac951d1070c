use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco init\n  disco init my-cluster && disco -C my-cluster bootstrap")]
pub(crate) struct InitArgs {
    /// The folder, made when missing [default: the current one].
    pub(crate) dir: Option<PathBuf>,

    /// The cluster's name [default: the folder's].
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Say what would be written, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Make the cluster that `client.js` describes, or finish and repair it.\n\nRuns `init` and `bootstrap` of \
                  `client.js`. It may be run again at any time, after a crash too: only what is missing is done.",
    after_help = "Examples:\n  disco bootstrap\n  disco -C test-deployment bootstrap -y"
)]
pub(crate) struct BootstrapArgs {
    /// Run the script, say what it would do, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(
    long_about = "End the cluster: every machine of it, and this project's state.\n\nWorks as well when the cluster does not \
                  answer or was never finished. Nothing is left: no machine, no process, no key.\n\nWhat runs for another folder is \
                  left alone: a copy of a project has none of its machines. Machines on this computer whose own folder was \
                  removed are ended by `--orphans`, from any folder.",
    after_help = "Examples:\n  disco destroy --dry-run\n  disco destroy -y\n  disco destroy --orphans shop"
)]
pub(crate) struct DestroyArgs {
    /// Give up given hosts that cannot be reached: what is on them stays.
    #[arg(long)]
    pub(crate) force: bool,

    /// Say what would be ended, and end nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// End the machines on this computer whose project was removed while they ran, of this cluster or of all; nothing else.
    #[arg(long, value_name = "CLUSTER", num_args = 0..=1, default_missing_value = "")]
    pub(crate) orphans: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  eval \"$(disco completion bash)\"\n  disco completion fish > ~/.config/fish/completions/disco.fish"
)]
pub(crate) struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}
