//! The context of a command, which it passes on to everything it calls.

use crate::{
    error::Outcome,
    printer::Printer,
    progress::Progress,
    project::{Project, Settings},
};

/// The settings and the printer of one invocation.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
    /// For what to say when a question is interrupted.
    pub(crate) progress: Progress,
}

impl Context {
    pub(crate) fn project(&self) -> Outcome<Project> {
        Project::find(&self.settings.directory)
    }
}
