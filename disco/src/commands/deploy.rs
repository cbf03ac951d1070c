use serde_json::{Value, json};

use crate::{
    cli::DeployArgs,
    client::Client,
    context::Context,
    deployment::{self, Deployed, Request},
    error::Outcome,
    exit::ExitStatus,
    printer::{Style, View},
};

pub(super) async fn run(args: &DeployArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let request = Request {
        variables: args.set.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect(),
        dry_run: args.change.dry_run,
        detach: args.change.detach,
    };
    let deployed = deployment::deploy(&client, context, &request).await?;
    context.printer.show(&deployed)?;
    Ok(ExitStatus::Done)
}

impl View for Deployed {
    fn json(&self) -> Value {
        json!({ "deployment": self.id, "files": self.files, "result": self.result })
    }

    fn names(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }

    fn text(&self, _style: Style) -> String {
        match &self.result {
            Value::Null => String::new(),
            Value::String(text) => format!("{text}\n"),
            other => format!("{other:#}\n"),
        }
    }
}
