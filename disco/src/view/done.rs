use disco_proto::v1::ChangeWorkloadsResponse;
use serde_json::{Value, json};

use crate::{
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    printer::{Style, View},
    workload::describe,
};

/// The result of a command whose progress lines already say what was done: a document for `-o json`, and no text.
#[derive(Debug)]
pub(crate) struct Done {
    json: Value,
    names: Vec<String>,
}

impl Done {
    pub(crate) fn new(json: Value) -> Self {
        Self { json, names: Vec::new() }
    }

    /// With the name of what was changed, for `-o name`.
    pub(crate) fn named(json: Value, name: &str) -> Self {
        Self { json, names: vec![name.to_owned()] }
    }

    /// Shows the result and ends the command.
    pub(crate) fn show(&self, context: &Context) -> Outcome<ExitStatus> {
        context.printer.show(self)?;
        Ok(ExitStatus::Done)
    }
}

impl View for Done {
    fn json(&self) -> Value {
        self.json.clone()
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn text(&self, _style: Style) -> String {
        String::new()
    }
}

/// Ends a dry run: a note for each step that the command would take, and one document with all of them for `-o json`.
pub(crate) fn would(context: &Context, steps: Vec<String>) -> Outcome<ExitStatus> {
    for step in &steps {
        context.printer.note(&format!("would {step}"));
    }
    Done::new(json!({ "dry_run": true, "would": steps })).show(context)
}

/// Ends a dry run of a change of services.
pub(crate) fn would_change(context: &Context, answer: &ChangeWorkloadsResponse) -> Outcome<ExitStatus> {
    let steps = describe(&answer.changes);
    if steps.is_empty() {
        context.printer.note("nothing would change");
    }
    would(context, steps)
}
