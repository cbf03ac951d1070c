use clap::Args;

use super::Variable;

#[derive(Debug, Args)]
#[command(
    long_about = "Read stack files (compose or fig files), check them, and print the normalised stack.\n\nWithout `-f`, takes the \
                  first of stack.yml, compose.yaml, compose.yml, docker-compose.yml and fig.yml in the current folder or the \
                  project's. `-o json` prints it in the shape of `docker compose config --format json`, with every value resolved and \
                  secrets redacted; paths are relative to the folder of the first file. `docs/stack.md` lists the keys.",
    after_help = "Examples:\n  disco stack\n  disco stack -f stack.yml -f production.yml -o json\n  disco stack --profile debug --set TAG=v2"
)]
pub(crate) struct StackArgs {
    #[command(flatten)]
    pub(crate) files: StackFileArgs,
}

// No documentation here: it would take the place of that of the commands.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct StackFileArgs {
    /// A stack file; later ones are merged over earlier ones. `-` is standard input.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Vec<String>,

    /// The stack's name, before all others.
    #[arg(long, value_name = "STACK")]
    pub(crate) name: Option<String>,

    /// Include services of this profile; may be repeated, `*` is all.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Vec<String>,

    /// Set a variable for `${K}`, before the environment and `.env`; may be repeated.
    #[arg(long, value_name = "K=V")]
    pub(crate) set: Vec<Variable>,

    /// Take a variable that is not set as empty, with a warning, instead of failing.
    #[arg(long)]
    pub(crate) allow_unset: bool,
}
