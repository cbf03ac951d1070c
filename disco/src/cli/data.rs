use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Write a key.
    Put(KvPutArgs),
    /// Print a key's value; exit 6 if the key does not exist.
    Get(KvGetArgs),
    /// Delete a key; exit 6 if it does not exist.
    Del(KvDelArgs),
    /// List keys.
    Ls(KvLsArgs),
    /// Print changes of a key until interrupted.
    Watch(KvWatchArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv put color blue\n  disco kv put config/app - < app.json")]
pub(crate) struct KvPutArgs {
    /// The key. Keys under `/disco/` are reserved.
    pub(crate) key: String,

    /// The value; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,

    /// Write only if the key was last modified at this revision; 0: only if it does not exist.
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_revision: Option<i64>,

    /// Print what would be written, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv get color\n  disco kv get config/app --raw > app.json")]
pub(crate) struct KvGetArgs {
    /// The key.
    pub(crate) key: String,

    /// Print the value's bytes as they are, without a trailing newline.
    #[arg(long)]
    pub(crate) raw: bool,

    /// Serializable read: answer from the node's own store. Faster, possibly stale.
    #[arg(long)]
    pub(crate) stale: bool,

    /// Read the value at an earlier revision.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) revision: i64,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv del color\n  disco kv del config/ --prefix -y")]
pub(crate) struct KvDelArgs {
    /// The key.
    pub(crate) key: String,

    /// All keys that begin with KEY.
    #[arg(long)]
    pub(crate) prefix: bool,

    /// Print what would be deleted, and delete nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv ls\n  disco kv ls config/ -o json")]
pub(crate) struct KvLsArgs {
    /// List only keys that begin with PREFIX [default: all but the reserved ones].
    pub(crate) prefix: Option<String>,

    /// List at most N keys.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) limit: i64,

    /// Serializable read: answer from the node's own store. Faster, possibly stale.
    #[arg(long)]
    pub(crate) stale: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco kv watch color\n  disco kv watch config/ --prefix -o jsonl")]
pub(crate) struct KvWatchArgs {
    /// The key.
    pub(crate) key: String,

    /// All keys that begin with KEY.
    #[arg(long)]
    pub(crate) prefix: bool,

    /// First revision to print [default: the next one].
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) revision: i64,
}
