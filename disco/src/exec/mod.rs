//! `disco exec`: this process's standard streams, connected with a program that runs beside a task.
//!
//! ```text
//! standard input ──parts, as many as are taken──> node ──> program ──> node ──> standard output, standard error
//! signals, the terminal's size ────────────────────────────^
//! ```
//!
//! Invariants:
//! - At most [`ON_THE_WAY`] bytes of input are on the way, so that a signal arrives although the program reads nothing.
//! - Neither a slow standard output nor a program that reads nothing keeps a signal from having an effect.
//! - The terminal is in raw mode only while the program runs.

mod signals;

use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::{
    Empty, ExecEnd, ExecInput, ExecOutput, ExecStart, TerminalSize, exec_input::Input, exec_output::Output,
};
use disco_provider::terminal::{Raw, Terminal, raw, size};
use futures_util::stream;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};
use tonic::{Code, Status, Streaming};

use self::signals::{Caught, Signals};
use crate::{
    client::{Client, from_status},
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// Bytes of input that may be on the way, see `ExecInput` in the `.proto` files.
const ON_THE_WAY: usize = 256 << 10;
/// Bytes of input in one message.
const PART: usize = 32 << 10;
/// Messages that wait to be sent.
const QUEUE: usize = 32;
/// Parts of output that wait to be written.
const WRITES: usize = 4;
/// Exit codes of a program that did not run, as shells have them.
const NOT_EXECUTABLE: u32 = 126;
const MISSING: u32 = 127;
/// The exit code of a program that wrote to a closed pipe: 128 and SIGPIPE.
const CLOSED_PIPE: u8 = 141;
/// Within which the node of a task begins to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// What shall run, and with which streams.
pub(crate) struct Exec {
    pub(crate) task: u64,
    /// `STACK/SERVICE/INDEX`.
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    /// Standard input is passed on.
    pub(crate) input: bool,
    /// The program gets a terminal.
    pub(crate) terminal: bool,
}

/// Runs a program beside a task to its end. Returns its exit code.
pub(crate) async fn run(client: &Client, exec: &Exec) -> Outcome<ExitStatus> {
    let mut signals = Signals::new().map_err(|error| Failure::failed("cannot wait for signals").because(&error))?;
    let local = match exec.terminal && exec.input {
        true => Terminal::open().map_err(|error| terminal_failure(&error))?,
        false => None,
    };
    let (sender, receiver) = mpsc::channel(QUEUE);
    let start = ExecStart {
        task_id: exec.task,
        command: exec.command.clone(),
        terminal: exec.terminal.then(terminal_size),
        term: std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()),
        requested_by: String::new(),
    };
    // Neither can fail: the queue is empty.
    let _ = sender.try_send(message(Input::Start(start)));
    if !exec.input {
        let _ = sender.try_send(message(Input::End(Empty {})));
    }
    let (_, mut control) = client.connection().await?;
    let inputs = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let answers = tokio::select! {
        answers = tokio::time::timeout(ANSWERS_WITHIN, control.exec(inputs)) => answers,
        caught = signals.ended() => return Ok(caught.status()),
    };
    let answers = answers.map_err(|_| Failure::new(ExitStatus::Unreachable, "the task's node does not answer"))?;
    let answers = answers.map_err(|status| exec.failure(&status))?.into_inner();
    let (writes, writer) = writer();
    let is_local = local.is_some();
    let input: Box<dyn AsyncRead + Send + Unpin> = match local {
        Some(terminal) => Box::new(terminal),
        None => Box::new(tokio::io::stdin()),
    };
    let running = Running { exec, sender, answers, signals, is_local, raw: None, writes, writer };
    running.until_ended(input).await
}

struct Running<'a> {
    exec: &'a Exec,
    sender: mpsc::Sender<ExecInput>,
    answers: Streaming<ExecOutput>,
    signals: Signals,
    /// The input is this process's own terminal.
    is_local: bool,
    raw: Option<Raw>,
    writes: mpsc::Sender<(bool, Bytes)>,
    writer: JoinHandle<std::io::Result<()>>,
}

impl Running<'_> {
    async fn until_ended(mut self, mut input: Box<dyn AsyncRead + Send + Unpin>) -> Outcome<ExitStatus> {
        let mut listens = self.exec.input;
        let (mut started, mut signalled, mut credit) = (false, false, ON_THE_WAY);
        let mut buffer = vec![0; PART];
        let (mut read, mut received) = (None, None);
        let end = loop {
            let most = PART.min(credit);
            tokio::select! {
                biased;
                caught = self.signals.next() => match caught {
                    Caught::Resized => self.resize(),
                    // The program may clean up first; a second signal does not wait for it.
                    Caught::Signal { name, .. } if started && !self.exec.terminal && !signalled => {
                        signalled = true;
                        // If even this does not fit, a second signal ends everything.
                        let _ = self.sender.try_send(message(Input::Signal(name.to_owned())));
                    }
                    caught => return Ok(caught.status()),
                },
                written = &mut self.writer => return write_end(written),
                Ok(permit) = self.writes.reserve(), if received.is_some() => {
                    if let Some(part) = received.take() {
                        permit.send(part);
                    }
                }
                Ok(permit) = self.sender.reserve(), if read.is_some() => {
                    if let Some(part) = read.take() {
                        permit.send(part);
                    }
                }
                answer = self.answers.message(), if received.is_none() => {
                    match answer.map_err(|status| self.lost(&status, started))?.map(|answer| answer.output) {
                        Some(Some(Output::Started(Empty {}))) => {
                            started = true;
                            if self.is_local {
                                self.raw = Some(raw().map_err(|error| terminal_failure(&error))?);
                            }
                        }
                        Some(Some(Output::Data(bytes))) => received = Some((false, bytes)),
                        Some(Some(Output::Error(bytes))) => received = Some((true, bytes)),
                        Some(Some(Output::Taken(count))) => credit += count as usize,
                        Some(Some(Output::End(end))) => break end,
                        // Of a newer node.
                        Some(None) => {}
                        None => return Err(self.lost(&Status::unavailable("the stream has ended"), started)),
                    }
                },
                count = input.read(&mut buffer[..most]), if started && listens && read.is_none() && most > 0 => {
                    read = Some(match count {
                        Ok(count @ 1..) => {
                            credit -= count;
                            message(Input::Data(Bytes::copy_from_slice(&buffer[..count])))
                        }
                        _ => {
                            listens = false;
                            message(Input::End(Empty {}))
                        }
                    });
                }
            }
        };
        self.finish(end).await
    }

    fn resize(&self) {
        if self.exec.terminal {
            // The next one has the size as it is then.
            let _ = self.sender.try_send(message(Input::Resize(terminal_size())));
        }
    }

    /// Writes what has arrived, and reports the end.
    async fn finish(self, end: ExecEnd) -> Outcome<ExitStatus> {
        let Self { exec, mut signals, writes, writer, raw, .. } = self;
        drop(writes);
        tokio::select! {
            written = writer => match written {
                Ok(Ok(())) => {}
                written => return write_end(written),
            },
            caught = signals.ended() => return Ok(caught.status()),
        }
        drop(raw);
        let status = match u8::try_from(end.code).unwrap_or(u8::MAX) {
            0 => ExitStatus::Done,
            code => ExitStatus::Program(code),
        };
        match (end.reason.as_str(), exec.command.first()) {
            ("", _) | (_, None) => Ok(status),
            (why, Some(program)) => {
                let message = match end.code {
                    NOT_EXECUTABLE | MISSING => format!("cannot run `{program}` beside `{}`", exec.name),
                    _ => format!("`{program}` did not run to its end beside `{}`", exec.name),
                };
                Err(Failure::new(status, message).cause(why))
            }
        }
    }

    fn lost(&self, status: &Status, started: bool) -> Failure {
        if !started || !crate::client::passing(status) {
            return self.exec.failure(status);
        }
        let message = format!("lost the connection to the node of `{}`: the program ends there", self.exec.name);
        Failure::new(ExitStatus::Unreachable, message).cause(disco_identity::describe(status))
    }
}

impl Exec {
    fn failure(&self, status: &Status) -> Failure {
        match status.code() {
            Code::FailedPrecondition => {
                Failure::failed(disco_identity::describe(status)).hint(format!("`disco why {}` says why", self.name))
            }
            _ => from_status(status),
        }
    }
}

fn message(input: Input) -> ExecInput {
    ExecInput { input: Some(input) }
}

fn terminal_size() -> TerminalSize {
    let (columns, rows) = size();
    TerminalSize { columns, rows }
}

fn terminal_failure(error: &std::io::Error) -> Failure {
    Failure::failed("cannot use the terminal").because(error).hint("`--no-tty` runs the program without one")
}

/// Writes to standard output and, `true`, to standard error, in the order of what it gets, as fast as they take it.
fn writer() -> (mpsc::Sender<(bool, Bytes)>, JoinHandle<std::io::Result<()>>) {
    let (sender, mut parts) = mpsc::channel::<(bool, Bytes)>(WRITES);
    let writer = tokio::spawn(async move {
        let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
        while let Some((is_error, bytes)) = parts.recv().await {
            if is_error {
                stderr.write_all(&bytes).await?;
                stderr.flush().await?;
            } else {
                stdout.write_all(&bytes).await?;
                stdout.flush().await?;
            }
        }
        Ok(())
    });
    (sender, writer)
}

/// The end of a writer that did not write everything.
fn write_end(written: Result<std::io::Result<()>, tokio::task::JoinError>) -> Outcome<ExitStatus> {
    match written {
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitStatus::Program(CLOSED_PIPE)),
        Ok(Err(error)) => Err(Failure::failed("cannot write the program's output").because(&error)),
        Ok(Ok(())) => Err(Failure::failed("the program's output ended early")),
        Err(error) => Err(Failure::failed("cannot write the program's output").because(&error)),
    }
}
