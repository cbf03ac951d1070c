use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use clap_complete::ArgValueCandidates;

use super::ChangeArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret, and apply it to the services that use it.
    Set(SecretSetArgs),
    /// List the secrets: names, versions and users, never values.
    Ls,
    /// Remove a secret that no service uses.
    Rm(SecretRmArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Set a config, and apply it to the services that use it.
    Set(ConfigSetArgs),
    /// Print a config; exit 6 if it does not exist.
    Get(ConfigGetArgs),
    /// List the configs with their versions and users.
    Ls,
    /// Remove a config that no service uses.
    Rm(ConfigRmArgs),
}

#[derive(Debug, Args)]
#[command(
    long_about = "Set a secret that all stacks may use (`external: true`), and apply it to the services that use it.\n\nWithout a \
                  source, asks for the value on the terminal and does not show it. A value is never an argument, as other users of \
                  this computer see those. Ends when the tasks have confirmed the new value: by new tasks that are healthy, or, with \
                  `x-disco.reload`, by files that were replaced.",
    after_help = "Examples:\n  disco secret set db_password\n  pwgen 32 1 | disco secret set db_password -\n  disco secret set tls_key --file key.pem"
)]
pub(crate) struct SecretSetArgs {
    /// The secret's name.
    #[arg(add = ArgValueCandidates::new(crate::project::known_secrets))]
    pub(crate) name: String,

    /// `-` reads the value from standard input, with all its bytes.
    #[arg(value_name = "-", conflicts_with = "file")]
    pub(crate) source: Option<String>,

    /// Read the value from a file, with all its bytes.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco secret rm db_password\n  disco secret rm db_password --force")]
pub(crate) struct SecretRmArgs {
    /// The secret's name.
    #[arg(add = ArgValueCandidates::new(crate::project::known_secrets))]
    pub(crate) name: String,

    /// Also while services use it: their tasks keep it, and their next deploy fails.
    #[arg(long)]
    pub(crate) force: bool,

    /// Print what would be removed, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(
    long_about = "Set a config that all stacks may use (`external: true`), and apply it to the services that use it.\n\nEnds when the \
                  tasks have confirmed the new value: by new tasks that are healthy, or, with `x-disco.reload`, by files that were \
                  replaced.",
    after_help = "Examples:\n  disco config set app --file app.yml\n  disco config set motd 'Maintenance at noon'\n  ./render | disco config set app -"
)]
pub(crate) struct ConfigSetArgs {
    /// The config's name.
    #[arg(add = ArgValueCandidates::new(crate::project::known_configs))]
    pub(crate) name: String,

    /// The value; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true, conflicts_with = "file", required_unless_present = "file")]
    pub(crate) value: Option<String>,

    /// Read the value from a file.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco config get app > app.yml\n  disco config get shop/app -o json")]
pub(crate) struct ConfigGetArgs {
    /// The config's name, `STACK/NAME` of one that a stack defines.
    #[arg(add = ArgValueCandidates::new(crate::project::known_configs))]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  disco config rm app\n  disco config rm app --force")]
pub(crate) struct ConfigRmArgs {
    /// The config's name.
    #[arg(add = ArgValueCandidates::new(crate::project::known_configs))]
    pub(crate) name: String,

    /// Also while services use it: their tasks keep it, and their next deploy fails.
    #[arg(long)]
    pub(crate) force: bool,

    /// Print what would be removed, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
