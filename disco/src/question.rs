//! Questions to the operator.
//!
//! While a question is open, no lock is held: a signal or the time limit ends the command at once.

use std::io::{self, PipeReader, PipeWriter};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use crate::{
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// Bytes of one read. A terminal returns at most one line at a time.
const CHUNK: usize = 4096;

/// Asks a yes-or-no question; `-y` answers it with yes. Any answer but yes is no.
pub(crate) async fn confirm(context: &Context, question: &str) -> Outcome<bool> {
    if context.settings.yes {
        return Ok(true);
    }
    let answer = line(context, &format!("{question} [y/N] ")).await?;
    Ok(["y", "yes"].contains(&answer.to_ascii_lowercase().as_str()))
}

/// Asks for a line of text. Without a terminal, returns an error instead of waiting.
///
/// A caller that drops the future closes the question. The note that a question is open remains then, for the caller that reports why
/// the command ended.
pub(crate) async fn line(context: &Context, question: &str) -> Outcome<String> {
    if !context.settings.interactive {
        return Err(Failure::usage("a confirmation is needed, and there is no terminal")
            .cause(question.trim_end().to_owned())
            .hint("`--yes` or `DISCO_YES=1` answers every question with yes"));
    }
    let _turn = context.progress.turn().await;
    context.progress.asks(true);
    let answer = ask(context, question).await;
    context.progress.asks(false);
    match answer? {
        Some(text) => Ok(text.trim().to_owned()),
        None => Err(Failure::new(ExitStatus::Cancelled, "the question was not answered")),
    }
}

/// Asks for a secret, and does not show what is typed. The end of the line is not part of it.
pub(crate) async fn secret(context: &Context, question: &str) -> Outcome<String> {
    let _turn = context.progress.turn().await;
    context.progress.asks(true);
    let answer = {
        let hidden = Hidden::new().map_err(|error| {
            Failure::failed("cannot hide what is typed on the terminal")
                .because(&error)
                .hint("`-` reads standard input")
        })?;
        let answer = ask(context, question).await;
        drop(hidden);
        // The line end was not shown either.
        context.printer.verbatim(b"\n");
        answer
    };
    context.progress.asks(false);
    answer?.ok_or_else(|| Failure::new(ExitStatus::Cancelled, "the question was not answered"))
}

/// The terminal does not show what is typed, until this is dropped: also by an interrupt.
struct Hidden(Termios);

impl Hidden {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nothing else to do if that fails.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// `None` at the end of the input.
async fn ask(context: &Context, question: &str) -> Outcome<Option<String>> {
    let failed = |error: &io::Error| Failure::failed("cannot read the answer").because(error);
    let mut open = Open::new(context).map_err(|error| failed(&error))?;
    context.printer.verbatim(question.as_bytes());
    let (sender, answer) = oneshot::channel();
    let closed = open.closed.take();
    // On its own thread, as reading the terminal blocks. The thread ends when the question is closed.
    let reading = std::thread::Builder::new().name("question".to_owned()).spawn(move || {
        if let Some(closed) = closed {
            // The receiver is gone if the command was cancelled.
            let _ = sender.send(read_line(&closed));
        }
    });
    reading.map_err(|error| Failure::failed("cannot start a thread for the question").because(&error))?;
    match answer.await {
        Ok(Ok(line)) => {
            open.answered = line.is_some();
            Ok(line)
        }
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Ok(None),
    }
}

/// A question on the terminal. Dropping it closes the question: the thread that reads the answer ends, and the progress lines return.
struct Open<'a> {
    context: &'a Context,
    answered: bool,
    /// The thread waits for this end of the pipe, which the kernel reports as soon as the other one is closed.
    closed: Option<PipeReader>,
    _closing: PipeWriter,
}

impl<'a> Open<'a> {
    fn new(context: &'a Context) -> io::Result<Self> {
        let (closed, closing) = io::pipe()?;
        context.printer.hide_progress();
        Ok(Self { context, answered: false, closed: Some(closed), _closing: closing })
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // The cursor is still behind the question.
            self.context.printer.verbatim(b"\n");
        }
        self.context.printer.show_progress();
    }
}

/// Reads a line from standard input, without its end; `None` at the end of the input, or when the question is closed.
fn read_line(closed: &PipeReader) -> io::Result<Option<String>> {
    let input = io::stdin();
    let mut line = Vec::new();
    loop {
        let mut waiting = [PollFd::new(&input, PollFlags::IN), PollFd::new(closed, PollFlags::empty())];
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        if !waiting[1].revents().is_empty() {
            return Ok(None);
        }
        let mut chunk = [0; CHUNK];
        // Not through the standard library's buffer, which would wait for the end of the line.
        let count = match rustix::io::read(&input, &mut chunk) {
            Err(rustix::io::Errno::INTR) => continue,
            count => count?,
        };
        line.extend_from_slice(&chunk[..count]);
        if count == 0 {
            return Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned()));
        }
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
        }
    }
}
