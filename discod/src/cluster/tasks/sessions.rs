//! Programs that clients run beside tasks of this node: from the request to what runs them, the agent.

use disco_proto::v1::exec_input::Input;
use disco_proto::v1::{ExecOutput, ExecStart, TerminalSize, exec_output};
use tokio::sync::mpsc;

use crate::cluster::{Error, Result};
use crate::node::Node;
use crate::records::{self, Severity, TaskRecord, keys};

/// Sessions that may wait for the agent.
const WAITING: usize = 8;
/// Parts of input that may wait: what a client may have on the way is bounded besides.
const INPUTS: usize = 16;
/// Parts of output that may wait for a slow client: 32 KiB each at most.
const OUTPUTS: usize = 4;
/// Bytes of a command with all its arguments: as much as fits a message with space to spare.
const COMMAND: usize = 1 << 20;
/// Bytes of a value of TERM.
const TERM: usize = 64;

/// One program that runs beside a task.
pub struct Session {
    /// What it is.
    pub start: ExecStart,
    /// From the client; closed when the client is gone.
    pub inputs: mpsc::Receiver<Input>,
    /// To the client; closed when the client is gone.
    pub outputs: mpsc::Sender<ExecPart>,
}

/// Where sessions begin. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(mpsc::Sender<Session>);

/// A part of a session's output, or why there is none.
pub type ExecPart = Result<ExecOutput>;

/// The two ends of a session at the client.
pub type Ends = (mpsc::Sender<Input>, mpsc::Receiver<ExecPart>);

/// Where sessions begin, and where the agent finds them.
#[must_use]
pub fn sessions() -> (Sessions, mpsc::Receiver<Session>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Sessions(sender), receiver)
}

/// Checks what a client requests.
///
/// # Errors
/// It is no command, or it has no valid terminal.
pub fn check(start: &ExecStart) -> Result<()> {
    let invalid = |message: &str| Err(Error::Invalid(message.to_owned()));
    match start.command.first() {
        None => return invalid("no program was given"),
        Some(program) if program.is_empty() => return invalid("the program's name must not be empty"),
        Some(_) => {}
    }
    if start.command.iter().map(String::len).sum::<usize>() > COMMAND {
        return Err(Error::Invalid(format!("a command has at most {COMMAND} bytes")));
    }
    if start.command.iter().any(|word| word.contains('\0')) {
        return invalid("a command must not contain a byte of value 0");
    }
    let is_term = |term: &str| term.len() <= TERM && term.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_term(&start.term) {
        return invalid("TERM must be the name of a terminal");
    }
    if let Some(TerminalSize { columns, rows }) = start.terminal
        && (u16::try_from(columns).is_err() || u16::try_from(rows).is_err())
    {
        return invalid("a terminal has at most 65535 columns and rows");
    }
    Ok(())
}

impl Sessions {
    /// Begins a session on this node, which has the task.
    ///
    /// # Errors
    /// Too many sessions begin at once.
    pub fn begin(&self, start: ExecStart) -> Result<Ends> {
        let (inputs, own_inputs) = mpsc::channel(INPUTS);
        let (own_outputs, outputs) = mpsc::channel(OUTPUTS);
        let session = Session { start, inputs: own_inputs, outputs: own_outputs };
        let busy = |_| Error::Exhausted("too many sessions begin on this node; try again".to_owned());
        self.0.try_send(session).map_err(busy)?;
        Ok((inputs, outputs))
    }
}

/// Records that a program was requested: by whom and where, without its arguments, which may hold secrets.
pub async fn record(node: &Node, start: &ExecStart) {
    let task = node.raft().store().read(|store| records::get::<TaskRecord>(store, &keys::task(start.task_id)));
    let Some(task) = task.map(|task| task.value) else { return };
    let program = start.command.first().map_or("", String::as_str);
    let name = format!("{}/{}/{}", task.stack, task.service, task.index);
    let message = format!("{} runs `{program}` beside `{name}`", start.requested_by);
    let data = serde_json::json!({
        "task": task.id, "stack": task.stack, "service": task.service, "index": task.index,
        "program": program, "by": start.requested_by, "terminal": start.terminal.is_some(),
    });
    records::emit_with(node, 0, "exec.started", Severity::Info, Some(node.id()), message, Some(data)).await;
}

/// The last part of a session.
#[must_use]
pub fn end(code: u32, reason: String) -> ExecOutput {
    let end = disco_proto::v1::ExecEnd { code, reason };
    ExecOutput { output: Some(exec_output::Output::End(end)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_command_and_a_real_terminal_are_accepted() {
        let start = |words: &[&str]| ExecStart {
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            term: "xterm-256color".to_owned(),
            terminal: Some(TerminalSize { columns: 80, rows: 24 }),
            ..ExecStart::default()
        };
        assert!(check(&start(&["sh", "-c", ""])).is_ok());
        for wrong in [start(&[]), start(&[""]), start(&["a", "b\0"])] {
            assert!(check(&wrong).is_err(), "{wrong:?}");
        }
        let long = "x".repeat(COMMAND);
        assert!(check(&start(&["a", &long])).is_err());
        assert!(check(&ExecStart { term: "a b".to_owned(), ..start(&["a"]) }).is_err());
        let wide = TerminalSize { columns: 70_000, rows: 1 };
        assert!(check(&ExecStart { terminal: Some(wide), ..start(&["a"]) }).is_err());
    }
}
