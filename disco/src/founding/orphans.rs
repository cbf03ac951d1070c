//! Terminates orphaned machines: local machines whose folder was removed, so that no project and no record names them.

use disco_provider::local::RunningMachine;
use futures_util::future::join_all;

use super::{founder::provider_failure, place};
use crate::{
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    question::confirm,
};

/// The steps of [`end_orphans`], for a dry run.
pub(crate) fn orphans_to_end(orphans: &[RunningMachine]) -> Vec<String> {
    let step = |machine: &RunningMachine| {
        let folder = machine.folder.display();
        format!("terminate machine {} of `{}`, previously in `{folder}`", machine.id, machine.cluster)
    };
    orphans.iter().map(step).collect()
}

/// Terminates these machines, if there are any, after a confirmation.
pub(crate) async fn end_orphans(context: &Context, orphans: Vec<RunningMachine>) -> Outcome<()> {
    if orphans.is_empty() {
        return Ok(());
    }
    let lines = place::orphans_by_folder(&orphans).join("; ");
    if !confirm(context, &format!("Terminate {lines}?")).await? {
        return Err(Failure::new(ExitStatus::Cancelled, "nothing was terminated"));
    }
    let ends = join_all(orphans.into_iter().map(|machine| end(context, machine))).await;
    ends.into_iter().collect()
}

async fn end(context: &Context, machine: RunningMachine) -> Outcome<()> {
    let task = context.printer.task(&format!("{} {}", machine.cluster, machine.id));
    task.state("terminating");
    let id = machine.id.clone();
    let ended = tokio::task::spawn_blocking(move || machine.end_lost()).await;
    match ended.map_err(|error| Failure::failed(format!("cannot terminate machine `{id}`")).because(&error))? {
        Ok(()) => {
            task.done(&format!("machine {id} terminated"));
            Ok(())
        }
        Err(error) => {
            task.failed("not terminated");
            Err(provider_failure(&error))
        }
    }
}
