use disco_provider::local::RunningMachine;

use super::Check;
use crate::{
    context::Context,
    founding::{END_ORPHANS, elsewhere, orphans_by_folder, refusal},
    project::Project,
};

/// Machines on this computer whose folder was removed. Those that were this project's own are its trouble; of others it is
/// said that they are there.
pub(super) fn check(project: Option<&Project>) -> Vec<Check> {
    let orphans = RunningMachine::all_lost();
    let is_own = |machine: &RunningMachine| project.is_none_or(|project| project.root() == machine.project_dir());
    let (own, others): (Vec<_>, Vec<_>) = orphans.into_iter().partition(is_own);
    let own = orphans_by_folder(&own).into_iter().map(|told| Check::bad("orphans", told));
    let others = orphans_by_folder(&others).into_iter().map(|told| Check::doubtful("orphans", told));
    own.chain(others).map(|check| check.next(END_ORPHANS)).collect()
}

/// Whether the project's machines run in its folder, and not for another one.
pub(super) async fn check_place(project: &Project) -> Option<Check> {
    match elsewhere(project).await {
        Ok(machines) => Some(Check::failure("project", &refusal(&machines)?)),
        Err(failure) => Some(Check::failure("project", &failure)),
    }
}

/// What can be said where there is no project: `None` where that is nothing.
pub(super) fn check_without_project(context: &Context) -> Option<Vec<Check>> {
    let failure = context.project().err()?;
    let orphans = check(None);
    (!orphans.is_empty()).then(|| std::iter::once(Check::failure("project", &failure)).chain(orphans).collect())
}
