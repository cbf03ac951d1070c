use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  disco init\n  disco init my-cluster && disco -C my-cluster bootstrap\n  disco init shop --hosts \
                  root@10.0.0.1,root@10.0.0.2,web3 && disco -C shop bootstrap"
)]
pub(crate) struct InitArgs {
    /// The project folder, created if missing [default: the current one].
    pub(crate) dir: Option<PathBuf>,

    /// The cluster's name [default: the folder's].
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Use these machines, each as after `ssh`: `user@host:port`, or a name of `~/.ssh/config` [default: machines on this computer].
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    pub(crate) hosts: Vec<String>,

    /// Print what would be written, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Create the cluster that `client.js` describes, or finish and repair it.\n\nRuns `init` and `bootstrap` of \
                  `client.js`. Can be run again at any time, also after a crash: it does only what is missing.",
    after_help = "Examples:\n  disco bootstrap\n  disco -C test-deployment bootstrap -y"
)]
pub(crate) struct BootstrapArgs {
    /// Run the script, print what it would do, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Terminate all machines of the cluster, and remove this project's state.\n\nAlso works if the cluster does not \
                  answer or was never finished. Leaves nothing: no machine, no process, no key.\n\nMachines that run for another \
                  folder are left alone: a copy of a project owns none of the original's machines. `--orphans` terminates machines \
                  on this computer whose project folder was removed, from any folder.",
    after_help = "Examples:\n  disco destroy --dry-run\n  disco destroy -y\n  disco destroy --orphans shop"
)]
pub(crate) struct DestroyArgs {
    /// Skip given hosts that cannot be reached, and print what is left on them; exits with 0.
    #[arg(long)]
    pub(crate) force: bool,

    /// Print what would be terminated, and terminate nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Terminate only the machines on this computer whose project folder was removed, of CLUSTER or of all clusters.
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
