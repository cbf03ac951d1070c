use clap::Args;

/// Flags of every command that changes something in the cluster.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Return at once; do not wait for the change to finish.
    #[arg(long)]
    pub(crate) detach: bool,
}
