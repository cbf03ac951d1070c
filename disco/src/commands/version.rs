use serde_json::{Value, json};

use crate::{
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    printer::{Style, View},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn run(context: &Context) -> Outcome<ExitStatus> {
    context.printer.show(&Version)?;
    Ok(ExitStatus::Done)
}

/// The version of this program.
struct Version;

impl View for Version {
    fn json(&self) -> Value {
        json!({ "version": VERSION })
    }

    fn names(&self) -> Vec<String> {
        vec![VERSION.to_owned()]
    }

    fn text(&self, _style: Style) -> String {
        format!("disco {VERSION}\n")
    }
}
