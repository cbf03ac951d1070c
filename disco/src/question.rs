//! Questions to whoever runs the command.

use std::io::{BufRead, Write};

use tokio::sync::oneshot;

use crate::{
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// A yes-or-no question; `-y` answers it with yes. Anything but yes is no.
pub(crate) async fn confirm(context: &Context, question: &str) -> Outcome<bool> {
    if context.settings.yes {
        return Ok(true);
    }
    let answer = line(context, &format!("{question} [y/N] ")).await?;
    Ok(["y", "yes"].contains(&answer.to_ascii_lowercase().as_str()))
}

/// Asks for a line of text. Without a terminal it is an error, never a hang.
pub(crate) async fn line(context: &Context, question: &str) -> Outcome<String> {
    if !context.settings.interactive {
        return Err(Failure::usage("a question needs an answer, and there is no terminal to ask on")
            .cause(question.trim_end().to_owned())
            .hint("answer every question with yes by `--yes` or `DISCO_YES=1`"));
    }
    let (sender, answer) = oneshot::channel();
    let (printer, question) = (context.printer.clone(), question.to_owned());
    // A thread of its own: reading the terminal cannot be interrupted, and must not keep the process from ending.
    let asking = std::thread::Builder::new().name("question".to_owned()).spawn(move || {
        let text = printer.suspended(|| {
            let mut terminal = std::io::stderr().lock();
            terminal.write_all(question.as_bytes())?;
            terminal.flush()?;
            drop(terminal);
            let mut text = String::new();
            std::io::stdin().lock().read_line(&mut text).map(|read| (read > 0).then_some(text))
        });
        // Nobody waits any more when the command was cancelled.
        let _ = sender.send(text);
    });
    asking.map_err(|error| Failure::failed("cannot ask").because(&error))?;
    match answer.await {
        Ok(Ok(Some(text))) => Ok(text.trim().to_owned()),
        Ok(Ok(None)) | Err(_) => Err(Failure::new(ExitStatus::Cancelled, "the question was not answered")),
        Ok(Err(error)) => Err(Failure::failed("cannot read the answer").because(&error)),
    }
}
