use clap::Args;
use clap_complete::ArgValueCandidates;

#[derive(Debug, Args)]
#[command(
    long_about = "Say why something is as it is.\n\nFor a task, a service, a stack or a node: what it does and since when, what was tried, \
                  the last probe and the last end, why nodes have no place for it, its last lines of output and events, and the next \
                  command to type. A node goes before all others of its name.",
    after_help = "Examples:\n  disco why shop/web\n  disco why shop/web/2\n  disco why heavyobjects-3\n  disco why web -o json | jq -r '.[0].next[0]'"
)]
pub(crate) struct WhyArgs {
    /// A node, a stack, a service or a task.
    #[arg(value_name = "TARGET", add = ArgValueCandidates::new(crate::project::known_outputs))]
    pub(crate) target: String,
}
