use clap::Args;

/// Flags of every command that changes something in the cluster.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not wait until it is done.
    #[arg(long)]
    pub(crate) detach: bool,
}
