use clap::Args;

use super::scale::nodes;

#[derive(Debug, Args)]
#[command(
    long_about = "Print what `bootstrap`, `scale` or the cluster itself would create, change and delete, and the cost.\n\n\
                  Runs `init` and `bootstrap` of `client.js` with a provider that records requests and does nothing, and asks the \
                  cluster for its own plan. Every question is answered with yes. Commands (`$`), writes, and requests that \
                  could change something are listed and not run. Prices are on-demand prices of the machines, without disks \
                  and traffic.",
    after_help = "Examples:\n  disco plan\n  disco plan nodes=5\n  disco plan --exit-code -o json"
)]
pub(crate) struct PlanArgs {
    /// Plan `disco scale` instead of `bootstrap`.
    #[arg(value_name = "nodes=N", value_parser = nodes)]
    pub(crate) target: Option<u32>,

    /// Exit with 7 if there are changes.
    #[arg(long)]
    pub(crate) exit_code: bool,
}
