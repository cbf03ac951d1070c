use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco events\n  disco events -w -o jsonl")]
pub(crate) struct EventsArgs {
    /// Print new events until interrupted.
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// Number of past events to print first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) lines: u32,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Show the output of tasks, or the log of a node.\n\nTARGET is a node's id or name, STACK, STACK/SERVICE, \
                  STACK/SERVICE/N or a task's id; the stack's name may be left out where it is clear, and a node goes before \
                  all others. Lines of several tasks are merged by their times. With `-f`, tasks that begin later are shown, too.",
    after_help = "Examples:\n  disco logs -f shop/web\n  disco logs --since 10m store\n  disco logs 2\n  disco logs -f -n 20 \
                  heavyobjects-1\n  disco logs --previous heavyobjects-1"
)]
pub(crate) struct LogsArgs {
    /// Print new lines until interrupted.
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Number of past lines to print first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: u32,

    /// Print nothing older than this time, such as `10m` (ago) or `2026-11-30T12:00:00Z`.
    #[arg(long, value_name = "TIME", conflicts_with = "previous")]
    pub(crate) since: Option<Since>,

    /// Print the log of a node's daemon in its previous run, up to its end; read over SSH.
    #[arg(short, long, conflicts_with = "follow")]
    pub(crate) previous: bool,

    /// A node, a stack, a service or a task.
    #[arg(value_name = "TARGET", add = clap_complete::ArgValueCandidates::new(crate::project::known_outputs))]
    pub(crate) target: String,
}

/// A time in the past.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Since {
    /// This long ago.
    Ago(jiff::SignedDuration),
    At(jiff::Timestamp),
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let expected = || "expected a time such as `10m` or `2026-11-30T12:00:00Z`".to_owned();
        super::parse_duration(text).map(Self::Ago).map_err(|_| expected())
    }
}

impl Since {
    /// Milliseconds since 1970; 0 for a time before.
    pub(crate) fn millis(self, now: jiff::Timestamp) -> u64 {
        let at = match self {
            Self::At(at) => at.as_millisecond(),
            Self::Ago(ago) => now.as_millisecond().saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)),
        };
        u64::try_from(at).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_ago_or_absolute() {
        let now: jiff::Timestamp = "1970-01-01T01:00:00Z".parse().unwrap();
        assert_eq!("10m".parse::<Since>().unwrap().millis(now), 3_000_000);
        assert_eq!("1970-01-01T00:00:02Z".parse::<Since>().unwrap().millis(now), 2000);
        assert_eq!("2h".parse::<Since>().unwrap().millis(now), 0);
        assert!("yesterday".parse::<Since>().unwrap_err().contains("`10m`"));
    }
}
