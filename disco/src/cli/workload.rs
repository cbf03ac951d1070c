use clap::Args;
use clap_complete::ArgValueCandidates;

use super::ChangeArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  disco ps\n  disco ps shop\n  disco ps -o json | jq -r '.[] | select(.healthy | not) | .reason'"
)]
pub(crate) struct PsArgs {
    /// Only this stack, service or task.
    #[arg(value_name = "TARGET", add = ArgValueCandidates::new(crate::project::known_targets))]
    pub(crate) target: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    long_about = "List the services with their endpoints.\n\nAn endpoint is the address and port of a task. Clients use those that \
                  are healthy and not draining: a task that is about to end is draining for some seconds first.",
    after_help = "Examples:\n  disco services\n  disco services shop -o json"
)]
pub(crate) struct ServicesArgs {
    /// Only this stack or service.
    #[arg(value_name = "TARGET", add = ArgValueCandidates::new(crate::project::known_targets))]
    pub(crate) target: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Deploy an earlier release of a stack again.\n\nA release is what a deployment made of the stack's services, once it \
                  was complete: versions and numbers of copies. The last ten of each stack are retained.",
    after_help = "Examples:\n  disco rollback\n  disco rollback shop --to 7\n  disco rollback shop --dry-run"
)]
pub(crate) struct RollbackArgs {
    /// The stack [default: the only one].
    #[arg(value_name = "STACK", add = ArgValueCandidates::new(crate::project::known_stacks))]
    pub(crate) stack: Option<String>,

    /// The deployment that made the release [default: the release before the current one].
    #[arg(long, value_name = "DEPLOYMENT")]
    pub(crate) to: Option<u64>,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco restart shop/web\n  disco restart shop")]
pub(crate) struct RestartArgs {
    /// A stack or a service.
    #[arg(value_name = "TARGET", add = ArgValueCandidates::new(crate::project::known_targets))]
    pub(crate) target: String,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco stop shop/web\n  disco stop shop --detach")]
pub(crate) struct StopArgs {
    /// A stack or a service.
    #[arg(value_name = "TARGET", add = ArgValueCandidates::new(crate::project::known_targets))]
    pub(crate) target: String,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco rm shop -y\n  disco rm shop --dry-run")]
pub(crate) struct RmArgs {
    /// The stack.
    #[arg(value_name = "STACK", add = ArgValueCandidates::new(crate::project::known_stacks))]
    pub(crate) stack: String,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco drain heavyobjects-2\n  disco undrain heavyobjects-2")]
pub(crate) struct DrainArgs {
    /// A node's id or name.
    #[arg(value_name = "NODE", add = ArgValueCandidates::new(crate::project::known_nodes))]
    pub(crate) node: String,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}
