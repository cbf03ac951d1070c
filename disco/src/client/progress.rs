use std::collections::HashMap;

use disco_proto::v1::Progress;
use tonic::Streaming;

use super::from_status;
use crate::{
    error::{Failure, Outcome},
    printer::{Printer, Task},
};

/// Shows a longer work of the cluster, one line per subject, until it ends. Fails when a subject failed.
pub(crate) async fn follow(mut stream: Streaming<Progress>, printer: &Printer) -> Outcome<()> {
    let mut tasks: HashMap<String, Task> = HashMap::new();
    let mut errors = Vec::new();
    loop {
        let step = match stream.message().await {
            Ok(Some(step)) => step,
            Ok(None) => break,
            Err(status) => return Err(from_status(&status)),
        };
        let state =
            if step.detail.is_empty() { step.state.clone() } else { format!("{}: {}", step.state, step.detail) };
        if !step.error.is_empty() {
            let task = tasks.remove(&step.subject).unwrap_or_else(|| printer.task(&step.subject));
            task.failed(&step.error);
            errors.push(format!("{}: {}", step.subject, step.error));
        } else if step.done {
            let task = tasks.remove(&step.subject).unwrap_or_else(|| printer.task(&step.subject));
            task.done(&state);
        } else {
            tasks.entry(step.subject.clone()).or_insert_with(|| printer.task(&step.subject)).state(&state);
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    let failure = Failure::failed("the cluster could not do all of it").hint("`disco events` shows what happened");
    Err(errors.into_iter().fold(failure, Failure::cause))
}
