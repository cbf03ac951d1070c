//! Commands whose cluster is chosen by environment variables.
//!
//! A variable is set once, easily forgotten, and applies in every folder. So a command that changes something first prints which
//! cluster it uses, unless the folder or a flag chose it.

use clap::{ArgMatches, parser::ValueSource};

use crate::{
    cli::{Cli, Command},
    context::Context,
    project::{ClusterRecord, Project},
};

/// Which of the settings that choose a cluster come from the environment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ByEnvironment {
    /// `DISCO_DIRECTORY`.
    directory: bool,
    /// `DISCO_ADDRESS`.
    address: bool,
    /// `DISCO_DIRECTORY` is set, and this command ignores it.
    unused: bool,
}

impl ByEnvironment {
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let is_from_there = |id: &str| matches.value_source(id) == Some(ValueSource::EnvVariable);
        Self { directory: is_from_there("directory"), address: is_from_there("address"), unused: false }
    }

    /// `init` ignores `DISCO_DIRECTORY`, which names an existing project, and creates the project in the current folder.
    pub(crate) fn ignore_for_init(self, cli: &mut Cli) -> Self {
        if !self.directory || !matches!(cli.command, Command::Init(_)) {
            return self;
        }
        cli.global.directory = None;
        Self { directory: false, address: false, unused: true }
    }

    /// Names the cluster on standard error.
    pub(crate) fn print_choice(self, context: &Context) {
        if self.unused {
            context.printer.always(
                "ignoring `DISCO_DIRECTORY`, which names an existing project: the new project is created in this folder",
            );
        }
        let mut by = Vec::new();
        if self.directory {
            by.push("chosen by `DISCO_DIRECTORY`".to_owned());
        }
        if self.address {
            let addresses: Vec<String> = context.settings.addresses.iter().map(ToString::to_string).collect();
            by.push(format!("via {} (`DISCO_ADDRESS`)", addresses.join(", ")));
        }
        // Without a project, the command itself fails.
        if let (false, Ok(project)) = (by.is_empty(), context.project()) {
            context.printer.always(&format!("{}, {}", which(&project), by.join(", ")));
        }
    }
}

fn which(project: &Project) -> String {
    let root = project.root().display();
    match ClusterRecord::load(&project.state()) {
        Ok(Some(record)) => format!("cluster `{}` of `{root}`", record.name),
        Ok(None) => format!("project `{root}`, which has no cluster yet"),
        // The command itself reports what is wrong with the record.
        Err(_) => format!("project `{root}`"),
    }
}
