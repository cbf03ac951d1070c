use clap::Args;

use super::scale::ScaleTarget;

#[derive(Debug, Args)]
#[command(
    long_about = "Say what `bootstrap`, `scale` or the cluster by itself would make, change and delete, and what it costs.\n\n\
                  Runs `init` and `bootstrap` of `client.js` with a provider that notes what it is asked for and does nothing, and \
                  asks the cluster what it would do by itself. Every question is answered with yes. What the script does beside \
                  the cluster (`fetch`, commands by `$`) it does here too. Prices are those of machines on demand, without disks \
                  and traffic.",
    after_help = "Examples:\n  disco plan\n  disco plan nodes=5\n  disco plan --exit-code -o json"
)]
pub(crate) struct PlanArgs {
    /// What `disco scale` would do, instead of `bootstrap`.
    #[arg(value_name = "nodes=N")]
    pub(crate) target: Option<ScaleTarget>,

    /// Exit with 7 when there are changes.
    #[arg(long)]
    pub(crate) exit_code: bool,
}
