use std::str::FromStr;

use clap::Args;

use super::ChangeArgs;

#[derive(Debug, Args)]
#[command(
    long_about = "Set the number of nodes, or of copies of a service.\n\nFor nodes, the leader starts and installs machines, or \
                  drains and terminates them; it refuses a step that would lose quorum (exit 5). For a service, it starts or ends \
                  tasks; a number of copies that fits on no node is undone (exit 11). This command waits and shows the progress. \
                  The next `disco deploy` sets the number in the stack file again.",
    after_help = "Examples:\n  disco scale nodes=5\n  disco scale nodes=1 --dry-run\n  disco scale web=4\n  disco scale shop/web=0"
)]
pub(crate) struct ScaleArgs {
    /// `nodes` or `[STACK/]SERVICE`, and the target number.
    #[arg(value_name = "NAME=N", add = clap_complete::ArgValueCandidates::new(scalable))]
    pub(crate) target: ScaleTarget,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

/// What gets which number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ScaleTarget {
    Nodes(u32),
    Service { name: String, copies: u32 },
}

impl FromStr for ScaleTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, count) = text.split_once('=').ok_or("expected `nodes=N` or `[STACK/]SERVICE=N`")?;
        let number: Option<u32> = count.parse().ok();
        match (name, number) {
            ("nodes", Some(0)) => Err("expected at least 1; `disco destroy` removes the cluster".to_owned()),
            ("nodes", Some(nodes)) => Ok(Self::Nodes(nodes)),
            ("nodes", None) => Err(format!("invalid number of nodes `{count}`: expected a positive integer")),
            ("", _) => Err("expected `nodes=N` or `[STACK/]SERVICE=N`".to_owned()),
            (name, Some(copies)) => Ok(Self::Service { name: name.to_owned(), copies }),
            (_, None) => Err(format!("invalid number of copies `{count}`: expected 0 or a positive integer")),
        }
    }
}

/// `nodes=N`, for commands about nodes alone.
pub(super) fn nodes(text: &str) -> Result<u32, String> {
    match text.parse()? {
        ScaleTarget::Nodes(nodes) => Ok(nodes),
        ScaleTarget::Service { .. } => Err("expected `nodes=N`".to_owned()),
    }
}

fn scalable() -> Vec<clap_complete::CompletionCandidate> {
    let services = crate::project::known_services().into_iter();
    let services = services.map(|service| service.get_value().to_string_lossy().into_owned());
    let names = std::iter::once("nodes".to_owned()).chain(services);
    names.map(|name| clap_complete::CompletionCandidate::new(format!("{name}="))).collect()
}
