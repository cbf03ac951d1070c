use std::time::Instant;

use disco_proto::v1::StatusResponse;
use serde_json::{Value, json};

use crate::{
    cli::BootstrapArgs,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::Purpose,
    host::Script,
    printer::{Style, View},
    project::Lock,
    view::{Done, StatusView},
};

pub(super) async fn run(args: &BootstrapArgs, context: &Context) -> Outcome<ExitStatus> {
    let started = Instant::now();
    let project = context.project()?;
    project.client_script()?;
    if args.dry_run {
        context.printer.show(&super::plan::of_script(context).await?)?;
        return Ok(ExitStatus::Done);
    }
    let lock = Lock::take(&project.state(), "bootstrap")?;
    let script = Script::load(context, Purpose::Bootstrap, Some(lock)).await?;
    let founder = script.founder()?;
    if !script.has(BOOTSTRAP) {
        return Err(no_bootstrap());
    }
    founder.renew_operator()?;
    founder.record_hosts()?;
    let text = script.call(BOOTSTRAP, Vec::new()).await?;
    match founder.complete(script.declined()).await? {
        Some(status) => {
            context.printer.show(&Bootstrapped { text, seconds: started.elapsed().as_secs_f64(), status })?;
            Ok(ExitStatus::Done)
        }
        None if script.declined() => Err(Failure::new(ExitStatus::Cancelled, "no cluster was created")),
        None => {
            context.printer.warn("`bootstrap` of `client.js` returned without creating a cluster");
            Done::new(json!({ "cluster": null, "healthy": false, "nodes": [] })).show(context)
        }
    }
}

/// Name of the function in `client.js`.
pub(super) const BOOTSTRAP: &str = "bootstrap";

pub(super) fn no_bootstrap() -> Failure {
    Failure::usage("`client.js` exports no function `bootstrap`")
        .hint("`disco init` in an empty folder writes an example")
}

struct Bootstrapped {
    text: Option<Value>,
    seconds: f64,
    status: StatusResponse,
}

impl View for Bootstrapped {
    fn json(&self) -> Value {
        let mut status = StatusView::from(self.status.clone()).json();
        status["result"] = self.text.clone().unwrap_or(Value::Null);
        status["seconds"] = json!((self.seconds * 1000.0).round() / 1000.0);
        status
    }

    fn names(&self) -> Vec<String> {
        StatusView::from(self.status.clone()).names()
    }

    fn text(&self, style: Style) -> String {
        let result = match &self.text {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => format!("{text}\n"),
            Some(other) => format!("{other:#}\n"),
        };
        let status = StatusView::from(self.status.clone()).text(style);
        format!("{result}\n{status}\n{}\n", style.dim(&format!("done in {:.1}s", self.seconds)))
    }
}
