//! Where the environment chooses the cluster.
//!
//! A variable is set once and forgotten, and works in whatever folder the shell is by then. So a command that changes something says
//! first which cluster it is, where that was not said by the folder or a flag.

use clap::{ArgMatches, parser::ValueSource};

use crate::{
    cli::{Cli, Command},
    context::Context,
    project::{ClusterRecord, Project},
};

/// Settings that choose a cluster, and stand in the environment alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ByEnvironment {
    /// `DISCO_DIRECTORY`.
    directory: bool,
    /// `DISCO_ADDRESS`.
    address: bool,
    /// The first of them is there, and is not for this command.
    unused: bool,
}

impl ByEnvironment {
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let is_from_there = |id: &str| matches.value_source(id) == Some(ValueSource::EnvVariable);
        Self { directory: is_from_there("directory"), address: is_from_there("address"), unused: false }
    }

    /// A project is made where the operator is: the variable names one that is there.
    pub(crate) fn without_what_is_not_used(self, cli: &mut Cli) -> Self {
        if !self.directory || !matches!(cli.command, Command::Init(_)) {
            return self;
        }
        cli.global.directory = None;
        Self { directory: false, address: false, unused: true }
    }

    /// Names the cluster on standard error.
    pub(crate) fn say_which(self, context: &Context) {
        if self.unused {
            context.printer.always(
                "the project is made in this folder: `DISCO_DIRECTORY` names one that is there, and is not used",
            );
        }
        let mut by = Vec::new();
        if self.directory {
            by.push("chosen by `DISCO_DIRECTORY`".to_owned());
        }
        if self.address {
            let addresses: Vec<String> = context.settings.addresses.iter().map(ToString::to_string).collect();
            by.push(format!("asked at {} first, by `DISCO_ADDRESS`", addresses.join(", ")));
        }
        // Where there is no project the command says so.
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
        // The command says what is wrong with it.
        Err(_) => format!("project `{root}`"),
    }
}
