//! What every command is given, and hands to what it calls.

use crate::{
    error::Outcome,
    printer::Printer,
    project::{Project, Settings},
};

/// The settings of one call, and where its words go.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
}

impl Context {
    pub(crate) fn project(&self) -> Outcome<Project> {
        Project::find(&self.settings.directory)
    }
}
