use std::{io::IsTerminal, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::Project;
use crate::{
    cli::{Format, GlobalArgs},
    error::{Failure, Outcome},
};

/// File with the project's settings, shared by all its operators.
const FILE: &str = "disco.json";

/// How this run of the program behaves. Each value comes from the first of: flag, `DISCO_*`, the project's `disco.json`,
/// default.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The folder where the search for the project begins.
    pub(crate) directory: PathBuf,
    pub(crate) format: Format,
    pub(crate) yes: bool,
    /// Time limit of the whole command.
    pub(crate) timeout: Option<Duration>,
    /// Nodes to try before those known to the project.
    pub(crate) addresses: Vec<std::net::SocketAddr>,
    pub(crate) plain: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
    /// `NO_COLOR` is not set and the terminal is not a dumb one.
    pub(crate) color: bool,
    pub(crate) output_terminal: bool,
    /// Columns of the terminal on standard output.
    pub(crate) output_width: Option<u16>,
    pub(crate) error_terminal: bool,
    /// Columns of the terminal on standard error.
    pub(crate) error_width: Option<u16>,
    /// A question can be asked and answered.
    pub(crate) interactive: bool,
}

/// The contents of `disco.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectSettings {
    output: Option<Format>,
    /// As `--timeout`.
    timeout: Option<String>,
    plain: Option<bool>,
}

impl Settings {
    pub(crate) fn resolve(global: &GlobalArgs) -> Outcome<Self> {
        let directory = global.directory.as_deref().map_or_else(|| PathBuf::from("."), disco_provider::at_home);
        let project = match Project::find(&directory) {
            Ok(project) => ProjectSettings::load(&project)?,
            // Commands that need a project report the error.
            Err(_) => ProjectSettings::default(),
        };
        let timeout = match (global.timeout, &project.timeout) {
            (Some(flag), _) => Some(flag),
            (None, Some(text)) => Some(
                crate::cli::parse_duration(text)
                    .map_err(|reason| Failure::usage(format!("`timeout` in `{FILE}`: {reason}")))?,
            ),
            (None, None) => None,
        };
        let error_terminal = std::io::stderr().is_terminal();
        Ok(Self {
            directory,
            format: global.output.or(project.output).unwrap_or_default(),
            yes: global.yes,
            timeout: timeout.map(|time| time.unsigned_abs()),
            addresses: global.address.clone(),
            plain: global.plain || project.plain.unwrap_or(false) || is_enabled("CI") || dumb(),
            quiet: global.quiet,
            verbose: global.verbose,
            color: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            output_terminal: std::io::stdout().is_terminal(),
            output_width: width(std::io::stdout()),
            error_terminal,
            error_width: width(std::io::stderr()),
            interactive: std::io::stdin().is_terminal() && error_terminal,
        })
    }

    /// Settings for reporting that the settings could not be resolved.
    pub(crate) fn fallback() -> Self {
        let error_terminal = std::io::stderr().is_terminal();
        Self {
            directory: PathBuf::from("."),
            format: Format::default(),
            yes: false,
            timeout: None,
            addresses: Vec::new(),
            plain: false,
            quiet: false,
            verbose: 0,
            color: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            output_terminal: false,
            output_width: None,
            error_terminal,
            error_width: width(std::io::stderr()),
            interactive: false,
        }
    }
}

impl ProjectSettings {
    fn load(project: &Project) -> Outcome<Self> {
        let path = project.root().join(FILE);
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::usage("cannot read the project's settings").because(&error)),
        };
        serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("`{}` is not valid", path.display())).because(&error))
    }
}

fn is_enabled(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !["", "0", "false", "no"].contains(&value.to_ascii_lowercase().as_str()))
}

/// The width of a terminal. Some report 0 when they do not know it.
fn width(stream: impl std::os::fd::AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

fn dumb() -> bool {
    std::env::var("TERM").is_ok_and(|value| value == "dumb")
}
