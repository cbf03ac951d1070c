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

/// Time for the cluster to accept a request. The time to carry it out is not limited.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);

impl Client {
    /// Starts a long operation in the cluster, and shows its progress, one line per subject, until it ends. Fails if a subject failed.
    ///
    /// `request` must be idempotent: if the node that reports the progress is lost, it is sent again to another one.
    pub(crate) async fn follow<F, R>(&self, printer: &Printer, request: F) -> Outcome<()>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<Streaming<Progress>>, Status>>,
    {
        let mut shown = Shown { printer, tasks: HashMap::new(), errors: BTreeMap::new() };
        let mut stream = self.call_within(TAKEN_WITHIN, &request).await?;
        loop {
            match stream.message().await {
                Ok(Some(step)) => shown.step(step),
                Ok(None) => break,
                Err(status) if passing(&status) => {
                    self.drop_connection();
                    match self.call_within(TAKEN_WITHIN, &request).await {
                        Ok(again) => stream = again,
                        // The object to remove is gone.
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

/// The progress lines on the screen.
struct Shown<'a> {
    printer: &'a Printer,
    tasks: HashMap<String, Task>,
    /// The last error of each subject, until it makes progress: a machine that cannot be started may be replaced by another.
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
        let failure =
            Failure::failed("the cluster could not complete the operation").hint("`disco events` shows details");
        Err(self
            .errors
            .into_iter()
            .fold(failure, |failure, (subject, error)| failure.cause(format!("{subject}: {error}"))))
    }
}
