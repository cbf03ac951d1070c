use clap::CommandFactory;
use clap_complete::env::Shells;

use crate::{
    cli::{Cli, CompletionArgs, Shell},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// The printed script calls this program for each completion, so it can complete this project's nodes.
pub(super) fn run(args: &CompletionArgs, context: &Context) -> Outcome<ExitStatus> {
    let name = match args.shell {
        Shell::Bash => "bash",
        Shell::Elvish => "elvish",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
        Shell::Zsh => "zsh",
    };
    let shells = Shells::builtins();
    let completer =
        shells.completer(name).ok_or_else(|| Failure::failed(format!("this build has no completion for `{name}`")))?;
    let mut script = Vec::new();
    completer
        .write_registration("COMPLETE", Cli::command().get_name(), "disco", "disco", &mut script)
        .map_err(|error| Failure::failed("cannot write the completion script").because(&error))?;
    context.printer.write(&script)?;
    Ok(ExitStatus::Done)
}
