use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    time::Duration,
};

use disco_proto::v1::Progress;
use tonic::{Response, Status, Streaming};

use super::{Client, Control, from_status, passing};
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Printer, Task},
};

/// Time until the cluster has taken a wish; making it true may take as long as it takes.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);

impl Client {
    /// Has the cluster do a longer work, and shows it, one line per subject, until it ends. Fails when a subject failed.
    ///
    /// `ask` states a wish that may be stated again: when the node that tells is lost, another one is asked.
    pub(crate) async fn follow<F, R>(&self, printer: &Printer, ask: F) -> Outcome<()>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<Streaming<Progress>>, Status>>,
    {
        let mut shown = Shown { printer, tasks: HashMap::new(), errors: BTreeMap::new() };
        let mut stream = self.call_within(TAKEN_WITHIN, &ask).await?;
        loop {
            match stream.message().await {
                Ok(Some(step)) => shown.step(step),
                Ok(None) => break,
                Err(status) if passing(&status) => {
                    self.drop_connection();
                    match self.call_within(TAKEN_WITHIN, &ask).await {
                        Ok(again) => stream = again,
                        // What was to be removed is no more.
                        Err(failure) if failure.status() == ExitStatus::NotFound => break,
                        Err(failure) => return Err(failure),
                    }
                }
                Err(status) => return Err(from_status(&status)),
            }
        }
        shown.end()
    }
}

/// What is on the screen.
struct Shown<'a> {
    printer: &'a Printer,
    tasks: HashMap<String, Task>,
    /// Of each subject the last one, until it has got further: a machine that cannot be had may be replaced by another.
    errors: BTreeMap<String, String>,
}

impl Shown<'_> {
    fn step(&mut self, step: Progress) {
        let state = match step.detail.as_str() {
            "" => step.state,
            detail => format!("{}: {detail}", step.state),
        };
        if step.error.is_empty() && !step.done {
            self.tasks.entry(step.subject).or_insert_with_key(|subject| self.printer.task(subject)).state(&state);
            return;
        }
        let task = self.tasks.remove(&step.subject).unwrap_or_else(|| self.printer.task(&step.subject));
        if step.error.is_empty() {
            task.done(&state);
            self.errors.remove(&step.subject);
        } else {
            task.failed(&step.error);
            self.errors.insert(step.subject, step.error);
        }
    }

    fn end(self) -> Outcome<()> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let failure = Failure::failed("the cluster could not do all of it").hint("`disco events` shows what happened");
        Err(self
            .errors
            .into_iter()
            .fold(failure, |failure, (subject, error)| failure.cause(format!("{subject}: {error}"))))
    }
}
