use std::str::FromStr;

use clap::Args;

use super::ChangeArgs;

#[derive(Debug, Args)]
#[command(
    long_about = "Set the number of nodes.\n\nThe leader starts and installs machines, or drains and terminates them; this \
                  command waits and shows the progress. The leader refuses a step that would lose quorum (exit 5).",
    after_help = "Examples:\n  disco scale nodes=5\n  disco scale nodes=1 --dry-run"
)]
pub(crate) struct ScaleArgs {
    /// The target number of nodes.
    #[arg(value_name = "nodes=N")]
    pub(crate) target: ScaleTarget,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

/// `nodes=N`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ScaleTarget {
    pub(crate) nodes: u32,
}

impl FromStr for ScaleTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = text.strip_prefix("nodes=").ok_or("expected `nodes=N`")?;
        match count.parse() {
            Ok(nodes) if nodes > 0 => Ok(Self { nodes }),
            Ok(_) => Err("expected at least 1; `disco destroy` removes the cluster".to_owned()),
            Err(_) => Err(format!("invalid number of nodes `{count}`: expected a positive integer")),
        }
    }
}
