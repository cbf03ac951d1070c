//! Questions to the operator.

use std::io::{BufRead, Write};

use tokio::sync::oneshot;

use crate::{
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// Asks a yes-or-no question; `-y` answers it with yes. Any answer but yes is no.
pub(crate) async fn confirm(context: &Context, question: &str) -> Outcome<bool> {
    if context.settings.yes {
        return Ok(true);
    }
    let answer = line(context, &format!("{question} [y/N] ")).await?;
    Ok(["y", "yes"].contains(&answer.to_ascii_lowercase().as_str()))
}

/// Asks for a line of text. Without a terminal, returns an error instead of waiting.
pub(crate) async fn line(context: &Context, question: &str) -> Outcome<String> {
    if !context.settings.interactive {
        return Err(Failure::usage("a confirmation is needed, and there is no terminal")
            .cause(question.trim_end().to_owned())
            .hint("`--yes` or `DISCO_YES=1` answers every question with yes"));
    }
    let (sender, answer) = oneshot::channel();
    let (printer, question) = (context.printer.clone(), question.to_owned());
    // On its own thread: reading the terminal cannot be interrupted, and must not block the process from exiting.
    let asking = std::thread::Builder::new().name("question".to_owned()).spawn(move || {
        let text = printer.suspended(|| {
            let mut terminal = std::io::stderr().lock();
            terminal.write_all(question.as_bytes())?;
            terminal.flush()?;
            drop(terminal);
            let mut text = String::new();
            std::io::stdin().lock().read_line(&mut text).map(|read| (read > 0).then_some(text))
        });
        // The receiver is gone if the command was cancelled.
        let _ = sender.send(text);
    });
    asking.map_err(|error| Failure::failed("cannot start a thread for the question").because(&error))?;
    match answer.await {
        Ok(Ok(Some(text))) => Ok(text.trim().to_owned()),
        Ok(Ok(None)) | Err(_) => Err(Failure::new(ExitStatus::Cancelled, "the question was not answered")),
        Ok(Err(error)) => Err(Failure::failed("cannot read the answer").because(&error)),
    }
}
