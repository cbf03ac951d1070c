use disco_identity::Expect;
use disco_proto::v1::{LogLine, LogsRequest, NodeStatus};
use serde_json::{Value, json};

use crate::{
    cli::LogsArgs,
    client::{Client, from_status},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Item, Style},
    remote,
};

/// The most lines that are fetched of a daemon that does not run.
const MOST_LINES: u32 = 1000;

/// A node's log comes from the node itself, also when it cannot reach the others. Where its daemon does not answer, what it has
/// written is read from its machine: that is when one wants to know most.
pub(super) async fn run(args: &LogsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let (node, unanswered) = match client.node(&args.target).await {
        Ok(node) => match from_daemon(args, context, &client, &node).await {
            Err(failure) if failure.status() == ExitStatus::Unreachable => (Some(node), failure),
            answered => return answered,
        },
        Err(failure) if failure.status() == ExitStatus::Unreachable => (None, failure),
        Err(failure) => return Err(failure),
    };
    from_machine(args, context, node, unanswered).await
}

async fn from_daemon(args: &LogsArgs, context: &Context, client: &Client, node: &NodeStatus) -> Outcome<ExitStatus> {
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

/// The last lines that the service has kept on the machine.
async fn from_machine(
    args: &LogsArgs,
    context: &Context,
    node: Option<NodeStatus>,
    unanswered: Failure,
) -> Outcome<ExitStatus> {
    let id = node.as_ref().map_or(0, |node| node.id);
    let place = node.as_ref().map_or_else(String::new, |node| format!(" at {}", node.address));
    let lines = if args.lines == 0 { MOST_LINES } else { args.lines.min(MOST_LINES) };
    let log = match remote::log(context, &args.target, node, lines).await {
        Ok(log) => log,
        Err(failure) => return Err(unanswered.cause(format!("nor can its machine be asked: {failure}"))),
    };
    let target = &args.target;
    context
        .printer
        .warn(&format!("the daemon of `{target}` does not answer{place}; what it has written is read over SSH"));
    for line in log.lines() {
        context.printer.item(&Written { id, text: line.to_owned() })?;
    }
    if args.follow {
        return Err(unanswered.hint(format!("follow it when it runs again: `disco logs -f {target}`")));
    }
    Ok(ExitStatus::Done)
}

/// A line as it stands in the file of a daemon that does not run.
struct Written {
    id: u64,
    text: String,
}

impl Item for Written {
    fn json(&self) -> Value {
        json!({ "node": self.id, "time": null, "level": null, "target": null, "text": self.text })
    }

    fn name(&self) -> String {
        self.text.clone()
    }

    fn text(&self, _: Style) -> String {
        self.text.clone()
    }
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
