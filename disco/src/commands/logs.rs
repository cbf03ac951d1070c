use disco_identity::Expect;
use disco_proto::v1::{LogLine, LogsRequest};
use serde_json::{Value, json};

use crate::{
    app::Context,
    cli::LogsArgs,
    client::{Client, from_status},
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Item, Style},
};

/// A node's log comes from the node itself, also when it cannot reach the others.
pub(super) async fn run(args: &LogsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let node = client.node(&args.target).await?;
    let address = node.address.parse().map_err(|error| {
        Failure::failed(format!("the address `{}` of `{}` is not one", node.address, node.name)).because(&error)
    })?;
    let request = LogsRequest { node_id: node.id, lines: args.lines, follow: args.follow };
    let mut control = client.dial(address, Expect::Node(node.id));
    let mut lines = control.logs(request).await.map_err(|status| from_status(&status))?.into_inner();
    while let Some(line) = lines.message().await.map_err(|status| from_status(&status))? {
        context.printer.item(&Line(line))?;
    }
    Ok(ExitStatus::Done)
}

struct Line(LogLine);

impl Item for Line {
    fn json(&self) -> Value {
        let line = &self.0;
        json!({ "node": line.node_id, "time": line.time, "level": line.level, "target": line.target, "text": line.text })
    }

    fn name(&self) -> String {
        self.0.text.clone()
    }

    fn text(&self, style: Style) -> String {
        let level = format!("{:<5}", self.0.level.to_ascii_uppercase());
        let level = match level.trim_end() {
            "ERROR" => style.bad(&level),
            "WARN" => style.warning(&level),
            _ => style.accent(&level),
        };
        format!("{} {level} {} {}", style.dim(&self.0.time), style.dim(&self.0.target), self.0.text)
    }
}
