use std::io::Write;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::{
    cli::Cli,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// Prints one page with all commands: the general page, then each command's synopsis and options.
pub(super) fn run(context: &Context) -> Outcome<ExitStatus> {
    let mut page = Vec::new();
    write(&mut page).map_err(|error| Failure::failed("cannot write the manual page").because(&error))?;
    context.printer.write(&page)?;
    Ok(ExitStatus::Done)
}

fn write(page: &mut Vec<u8>) -> std::io::Result<()> {
    let mut command = Cli::command();
    command.build();
    Man::new(command.clone()).render(page)?;
    let mut rest: Vec<clap::Command> = command.get_subcommands().filter(|one| has_section(one)).cloned().collect();
    rest.reverse();
    while let Some(one) = rest.pop() {
        let mut inner: Vec<clap::Command> = one.get_subcommands().filter(|two| has_section(two)).cloned().collect();
        if inner.is_empty() {
            writeln!(page, ".SH {}", one.get_bin_name().unwrap_or(one.get_name()).to_uppercase())?;
            let man = Man::new(one);
            man.render_synopsis_section(page)?;
            man.render_description_section(page)?;
            man.render_options_section(page)?;
        } else {
            inner.reverse();
            rest.extend(inner);
        }
    }
    Ok(())
}

/// `help` repeats the tree of all commands.
fn has_section(command: &clap::Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}
