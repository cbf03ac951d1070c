use std::{fmt::Write as _, io::Write};

use clap::CommandFactory;
use clap_mangen::Man;

use crate::{
    cli::Cli,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// Prints one page with all commands: the general sections, then a section for each command, to which the list of commands refers.
pub(super) fn run(context: &Context) -> Outcome<ExitStatus> {
    let page = page().map_err(|error| Failure::failed("cannot write the manual page").because(&error))?;
    context.printer.write(page.as_bytes())?;
    Ok(ExitStatus::Done)
}

/// The end of the page.
const SEE_ALSO: &str = ".SH \"SEE ALSO\"\n\\fBssh\\fR(1), \\fBetcdctl\\fR(1), \\fBsystemctl\\fR(1), \\fBnft\\fR(8)\n";

fn page() -> std::io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let commands = leaves(&command);
    let mut page = Vec::new();
    let general = Man::new(command);
    general.render_title(&mut page)?;
    general.render_name_section(&mut page)?;
    general.render_synopsis_section(&mut page)?;
    general.render_description_section(&mut page)?;
    general.render_options_section(&mut page)?;
    writeln!(page, ".SH COMMANDS")?;
    for command in &commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(&name(command)), escaped(&about))?;
    }
    writeln!(page, ".PP\nEach command has its own section below, and accepts the global options too.")?;
    for command in commands {
        section(command, &mut page)?;
    }
    writeln!(page, ".SH \"EXIT STATUS\"")?;
    for (status, meaning) in ExitStatus::TABLE {
        writeln!(page, ".TP\n\\fB{}\\fR\n{}", status.code(), escaped(meaning))?;
    }
    writeln!(
        page,
        ".PP\n\\fBdisco exec\\fR and \\fBdisco node ssh\\fR exit with the code of the program that they run."
    )?;
    let page = String::from_utf8_lossy(&page);
    Ok(format!("{page}{SEE_ALSO}"))
}

/// The section of a command: synopsis, description, its own options, examples.
fn section(command: clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    writeln!(page, ".SH \"{}\"", name(&command).to_uppercase())?;
    let examples = command.get_after_help().map(ToString::to_string);
    let own = command.mut_args(|arg| {
        let others = arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str());
        arg.hide(others)
    });
    let mut part = Vec::new();
    let man = Man::new(own);
    man.render_synopsis_section(&mut part)?;
    man.render_description_section(&mut part)?;
    man.render_options_section(&mut part)?;
    // Below the command's own heading.
    let mut text = String::from_utf8_lossy(&part).into_owned();
    for (heading, below) in [("SYNOPSIS", "Synopsis"), ("DESCRIPTION", "Description"), ("OPTIONS", "Options")] {
        text = text.replace(&format!(".SH {heading}\n"), &format!(".SS {below}\n"));
    }
    if let Some(examples) = examples {
        let lines = examples.strip_prefix("Examples:\n").unwrap_or(&examples).lines();
        let lines: String = lines.map(|line| format!("{}\n", escaped(line))).collect();
        // Into a string, which cannot fail.
        let _ = write!(text, ".SS Examples\n.nf\n{lines}.fi\n");
    }
    page.write_all(text.as_bytes())
}

/// All commands that do something themselves, in the order of the help; `help` repeats their tree.
fn leaves(command: &clap::Command) -> Vec<clap::Command> {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help");
    shown
        .flat_map(|one| match leaves(one) {
            inner if inner.is_empty() => vec![one.clone()],
            inner => inner,
        })
        .collect()
}

fn name(command: &clap::Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).to_owned()
}

/// A line of text that troff shows as it is.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
