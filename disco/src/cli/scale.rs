use std::str::FromStr;

use clap::Args;

use super::ChangeArgs;

#[derive(Debug, Args)]
#[command(
    long_about = "Set the number of nodes.\n\nThe cluster starts and installs machines, or drains and ends them, by itself; this \
                  command waits and shows it. A step that would lose quorum is refused (exit 5).",
    after_help = "Examples:\n  disco scale nodes=5\n  disco scale nodes=1 --dry-run"
)]
pub(crate) struct ScaleArgs {
    /// What, and how many.
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
            Ok(_) => Err("a cluster has at least one node; `disco destroy` ends it".to_owned()),
            Err(_) => Err(format!("`{count}` is not a number of nodes")),
        }
    }
}
