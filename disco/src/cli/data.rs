use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Write a key.
    Put(KvPutArgs),
    /// Print a key's value; exit 6 when there is none.
    Get(KvGetArgs),
    /// Delete a key; exit 6 when there was none.
    Del(KvDelArgs),
    /// List keys.
    Ls(KvLsArgs),
    /// Print changes of a key until interrupted.
    Watch(KvWatchArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv put color blue\n  disco kv put config/app - < app.json")]
pub(crate) struct KvPutArgs {
    /// The key. Those beneath `/disco/` are Disco's own.
    pub(crate) key: String,

    /// The value; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,

    /// Only when the key was last changed at this revision; 0: only when it is absent.
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_revision: Option<i64>,

    /// Say what would be written, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv get color\n  disco kv get config/app --raw > app.json")]
pub(crate) struct KvGetArgs {
    /// The key.
    pub(crate) key: String,

    /// Print exactly the value's bytes, without a line end.
    #[arg(long)]
    pub(crate) raw: bool,

    /// What the asked node has, without asking the leader: faster, maybe old.
    #[arg(long)]
    pub(crate) stale: bool,

    /// The value at an earlier revision.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) revision: i64,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv del color\n  disco kv del config/ --prefix -y")]
pub(crate) struct KvDelArgs {
    /// The key.
    pub(crate) key: String,

    /// Every key that begins so.
    #[arg(long)]
    pub(crate) prefix: bool,

    /// Say what would be deleted, and delete nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv ls\n  disco kv ls config/ -o json")]
pub(crate) struct KvLsArgs {
    /// Only keys that begin so [default: all but Disco's own].
    pub(crate) prefix: Option<String>,

    /// At most so many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) limit: i64,

    /// What the asked node has, without asking the leader: faster, maybe old.
    #[arg(long)]
    pub(crate) stale: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv watch color\n  disco kv watch config/ --prefix -o jsonl")]
pub(crate) struct KvWatchArgs {
    /// The key.
    pub(crate) key: String,

    /// Every key that begins so.
    #[arg(long)]
    pub(crate) prefix: bool,

    /// First revision to show [default: the next].
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) revision: i64,
}
