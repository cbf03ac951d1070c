use disco_provider::local::RunningMachine;

use super::Check;
use crate::{
    context::Context,
    founding::{END_ORPHANS, elsewhere, orphans_by_folder, refusal},
    project::Project,
};

/// Machines on this computer whose folder was removed: a failure if they belonged to this project, a warning otherwise.
pub(super) fn check(project: Option<&Project>) -> Vec<Check> {
    let orphans = RunningMachine::all_lost();
    let is_own = |machine: &RunningMachine| project.is_none_or(|project| project.root() == machine.project_dir());
    let (own, others): (Vec<_>, Vec<_>) = orphans.into_iter().partition(is_own);
    let own = orphans_by_folder(&own).into_iter().map(|line| Check::bad("orphans", line));
    let others = orphans_by_folder(&others).into_iter().map(|line| Check::doubtful("orphans", line));
    own.chain(others).map(|check| check.next(END_ORPHANS)).collect()
}

/// Checks that the project's machines run in its own folder.
pub(super) async fn check_place(project: &Project) -> Option<Check> {
    match elsewhere(project).await {
        Ok(machines) => Some(Check::failure("project", &refusal(&machines)?)),
        Err(failure) => Some(Check::failure("project", &failure)),
    }
}

/// The checks outside of a project; `None` if there are no orphaned machines to report.
pub(super) fn check_without_project(context: &Context) -> Option<Vec<Check>> {
    let failure = context.project().err()?;
    let orphans = check(None);
    (!orphans.is_empty()).then(|| std::iter::once(Check::failure("project", &failure)).chain(orphans).collect())
}
