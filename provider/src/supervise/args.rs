//! The arguments of the hidden subcommand. Only Disco itself writes them, so there is no help for them.

use std::ffi::OsString;
use std::path::PathBuf;

use super::SuperviseError;

/// The action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Supervise until the end.
    Supervise,
    /// Start a supervisor in the background.
    Detach,
    /// The first half of that: starts the supervisor as an orphan, and ends.
    Launch,
    /// End supervisor and program.
    Stop,
    /// Restart the program.
    Reload,
    /// Print the status.
    Status,
}

#[derive(Debug)]
pub(super) struct SuperviseArgs {
    pub(super) dir: PathBuf,
    pub(super) action: Action,
}

impl SuperviseArgs {
    pub(super) fn parse(args: &[OsString]) -> Result<Self, SuperviseError> {
        let usage = |reason: String| SuperviseError::Usage { reason };
        let (mut dir, mut action) = (None, Action::Supervise);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--dir") => {
                    dir = Some(PathBuf::from(args.next().ok_or_else(|| usage("`--dir` needs a value".to_owned()))?));
                }
                Some("--detach") => action = Action::Detach,
                Some("--launch") => action = Action::Launch,
                Some("--stop") => action = Action::Stop,
                Some("--reload") => action = Action::Reload,
                Some("--status") => action = Action::Status,
                _ => return Err(usage(format!("unknown argument `{}`", arg.display()))),
            }
        }
        Ok(Self { dir: dir.ok_or_else(|| usage("`--dir` is missing".to_owned()))?, action })
    }
}
