mod previous;
mod tasks;

pub(super) use self::tasks::read as follow_task;

use std::time::{Duration, Instant};

use disco_identity::Expect;
use disco_proto::v1::{LogLine, LogsRequest, NodeStatus};
use jiff::Timestamp;
use serde_json::{Value, json};
use tonic::{Status, Streaming};

use crate::{
    cli::LogsArgs,
    client::{Client, from_status, passing},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Item, Style},
    remote,
};

/// Maximum number of lines read over SSH from a daemon that does not answer.
const MOST_LINES: u32 = 1000;
/// Lines of the log on the machine in which the end of the previous run is searched.
const MOST_READ: u32 = 20_000;
/// Time for a daemon that was followed to be back. A supervisor starts one that crashed within seconds, an upgrade takes half a minute.
const BACK_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(200);

/// Reads the log from the node itself, even if it cannot reach the other nodes. If its daemon does not answer, reads the log
/// file on the machine over SSH: that is when the operator needs it most.
pub(super) async fn run(args: &LogsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    if args.previous {
        return previous(args, context, &client).await;
    }
    let (node, unanswered) = match client.node(&args.target).await {
        Ok(node) => match from_daemon(args, context, &client, &node).await {
            Err(failure) if failure.status() == ExitStatus::Unreachable => (Some(node), failure),
            answered => return answered,
        },
        Err(failure) if failure.status() == ExitStatus::Unreachable => (None, failure),
        // No node: a stack, a service or a task.
        Err(failure) if failure.status() == ExitStatus::NotFound => {
            return tasks::run(args, context, &client).await.map_err(|other| match other.status() {
                ExitStatus::NotFound => other.cause(failure.message()),
                _ => other,
            });
        }
        Err(failure) => return Err(failure),
    };
    if args.since.is_some() {
        return Err(unanswered.cause("its log on the machine cannot be read from a time on: leave out `--since`"));
    }
    from_machine(args, context, node, unanswered).await
}

/// Prints the log of the run before the present one, from the machine: the daemon's own memory begins at its start.
async fn previous(args: &LogsArgs, context: &Context, client: &Client) -> Outcome<ExitStatus> {
    let node = match client.node(&args.target).await {
        Ok(node) => Some(node),
        // A cluster without a quorum has logs, too.
        Err(failure) if failure.status() == ExitStatus::Unreachable => None,
        Err(failure) => return Err(failure),
    };
    let id = node.as_ref().map_or(0, |node| node.id);
    let log = remote::log(context, &args.target, node, MOST_READ).await?;
    let run = previous::previous_run(&log, args.lines as usize).ok_or_else(|| {
        let text = format!("the last {MOST_READ} lines of the log of `{}` have no end of an earlier run", args.target);
        Failure::new(ExitStatus::NotFound, text).hint(format!("`disco logs {}` shows the present run", args.target))
    })?;
    for line in run {
        context.printer.item(&Written { id, text: line.to_owned() })?;
    }
    Ok(ExitStatus::Done)
}

async fn from_daemon(args: &LogsArgs, context: &Context, client: &Client, node: &NodeStatus) -> Outcome<ExitStatus> {
    let address = node.address.parse().map_err(|error| {
        Failure::failed(format!("invalid address `{}` of `{}`", node.address, node.name)).because(&error)
    })?;
    if args.lines == 0 && !args.follow {
        return Ok(ExitStatus::Done);
    }
    // To the node, 0 means all lines: the last one is read, and not shown.
    let mut request = LogsRequest { node_id: node.id, lines: args.lines.max(1), follow: args.follow };
    let (mut shown, mut answered) = (Shown::new(args.lines == 0), Instant::now());
    shown.since = args.since.map(|since| since.millis(Timestamp::now()));
    loop {
        let mut control = client.dial(address, Expect::Node(node.id));
        let ended = match control.logs(request).await {
            Ok(lines) => {
                let ended = print(context, lines.into_inner(), &mut shown).await;
                // A stream without a line is no answer: some daemons end each one.
                if !shown.waiting {
                    answered = Instant::now();
                }
                ended?
            }
            Err(status) => Some(status),
        };
        let failure = match ended {
            _ if !args.follow && ended.is_none() => return Ok(ExitStatus::Done),
            Some(status) if !args.follow || shown.nothing || !passing(&status) => return Err(from_status(&status)),
            ended => ended,
        };
        if answered.elapsed() >= BACK_WITHIN {
            let why = failure
                .map_or_else(|| "it ends every connection".to_owned(), |status| disco_identity::describe(&status));
            return Err(Failure::new(
                ExitStatus::Unreachable,
                format!("`{}` did not answer again within {} s", node.name, BACK_WITHIN.as_secs()),
            )
            .cause(why));
        }
        if !shown.waiting {
            shown.waiting = true;
            context.printer.note(&format!("the daemon of `{}` does not answer: waiting until it is back", node.name));
        }
        // All lines since its start: those that are shown already are left out.
        request.lines = 0;
        shown.again = true;
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Prints the lines of one connection until it ends. Returns the status of an end that is none of the node's own.
async fn print(context: &Context, mut lines: Streaming<LogLine>, shown: &mut Shown) -> Outcome<Option<Status>> {
    loop {
        match lines.message().await {
            Ok(Some(line)) => {
                shown.waiting = false;
                if shown.is_new(&line) {
                    context.printer.item(&Line(line))?;
                }
            }
            Ok(None) => return Ok(None),
            Err(status) => return Ok(Some(status)),
        }
    }
}

/// The lines that were shown.
struct Shown {
    /// No line has arrived.
    nothing: bool,
    /// The first line is not shown.
    skip_first: bool,
    /// The newest time, and the lines of that time.
    newest: (String, Vec<String>),
    /// Lines that were shown may be sent again, before new ones.
    again: bool,
    /// The node does not answer at the moment, as was reported.
    waiting: bool,
    /// Nothing older is shown: milliseconds since 1970.
    since: Option<u64>,
}

impl Shown {
    fn new(skip_first: bool) -> Self {
        Self { nothing: true, skip_first, newest: Default::default(), again: false, waiting: false, since: None }
    }

    /// Notes a line; false if it was seen before, or is not to be shown.
    fn is_new(&mut self, line: &LogLine) -> bool {
        let skipped = self.nothing && self.skip_first;
        self.nothing = false;
        let (time, texts) = &mut self.newest;
        // Times are UTC and all of the same form.
        if self.again && (line.time < *time || (line.time == *time && texts.contains(&line.text))) {
            return false;
        }
        self.again = false;
        if line.time != *time {
            texts.clear();
            time.clone_from(&line.time);
        }
        texts.push(line.text.clone());
        !skipped && self.since.is_none_or(|since| is_since(&line.time, since))
    }
}

/// Whether a time is not before another one; one that cannot be read is not.
fn is_since(time: &str, since: u64) -> bool {
    let at = time.parse().map(Timestamp::as_millisecond);
    at.is_ok_and(|at| i64::try_from(since).is_ok_and(|since| at >= since))
}

/// Prints the last lines of the log on the machine.
async fn from_machine(
    args: &LogsArgs,
    context: &Context,
    node: Option<NodeStatus>,
    unanswered: Failure,
) -> Outcome<ExitStatus> {
    let id = node.as_ref().map_or(0, |node| node.id);
    let place = node.as_ref().map_or_else(String::new, |node| format!(" at {}", node.address));
    let lines = args.lines.clamp(1, MOST_LINES);
    let log = match remote::log(context, &args.target, node, lines).await {
        Ok(log) => log,
        Err(failure) => return Err(unanswered.cause(format!("reading the log over SSH failed, too: {failure}"))),
    };
    let target = &args.target;
    context.printer.warn(&format!("the daemon of `{target}` does not answer{place}; reading its log over SSH"));
    for line in log.lines().take(args.lines as usize) {
        context.printer.item(&Written { id, text: line.to_owned() })?;
    }
    if args.follow {
        return Err(unanswered.hint(format!("once it runs again, follow its log: `disco logs -f {target}`")));
    }
    Ok(ExitStatus::Done)
}

/// A line of the log file of a daemon that does not answer.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: &str, text: &str) -> LogLine {
        LogLine { time: time.to_owned(), text: text.to_owned(), ..LogLine::default() }
    }

    #[test]
    fn a_line_is_shown_once_however_often_it_is_sent() {
        let mut shown = Shown::new(false);
        assert!(shown.is_new(&line("1", "a")) && shown.is_new(&line("2", "b")) && shown.is_new(&line("2", "c")));
        // Two equal lines within a millisecond are two lines.
        assert!(shown.is_new(&line("2", "c")));
        // The connection broke, and the daemon sends all its lines again.
        shown.again = true;
        assert!(!shown.is_new(&line("1", "a")) && !shown.is_new(&line("2", "b")) && !shown.is_new(&line("2", "c")));
        assert!(shown.is_new(&line("2", "d")) && shown.is_new(&line("3", "a")));
        // The machine's clock was set back.
        assert!(shown.is_new(&line("2", "e")));
        let mut shown = Shown::new(true);
        assert!(!shown.is_new(&line("1", "the last one before")) && shown.is_new(&line("1", "new")));
    }
}
