//! Where the local machines of a project run: normally in its own folder, or in the folder that this one is a copy of, or in a
//! folder that was removed.

use std::collections::BTreeSet;
use std::path::Path;

use disco_provider::local::RunningMachine;

use super::{destroy::recorded_provider, founder::provider_failure};
use crate::{
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::{ClusterRecord, Project},
};

/// The hint for orphaned machines.
pub(crate) const END_ORPHANS: &str = "`disco destroy --orphans` terminates them";

/// The machines of this project's cluster that run in another folder.
pub(crate) async fn elsewhere(project: &Project) -> Outcome<Vec<RunningMachine>> {
    // Commands that need the record report themselves what is wrong with it.
    let Ok(Some(record)) = ClusterRecord::load(&project.state()) else { return Ok(Vec::new()) };
    let provider = recorded_provider(project, &record)?;
    provider.elsewhere().await.map_err(|error| provider_failure(&error))
}

/// Refuses to change the cluster of the original from a copy of its project: copying a folder must not create a second operator of
/// the same machines.
pub(crate) async fn require_original(context: &Context) -> Outcome<()> {
    // Without a project, the command itself fails.
    let Ok(project) = context.project() else { return Ok(()) };
    refusal(&elsewhere(&project).await?).map_or(Ok(()), Err)
}

/// The refusal while these machines run elsewhere; `None` if there are none.
pub(crate) fn refusal(elsewhere: &[RunningMachine]) -> Option<Failure> {
    let living = elsewhere.iter().find(|machine| !machine.lost);
    let machine = living.or_else(|| elsewhere.first())?;
    let (cluster, folder) = (&machine.cluster, machine.project_dir().display());
    let count = elsewhere.iter().filter(|one| one.lost == machine.lost).count();
    let (message, hint) = if machine.lost {
        let lines = orphans_by_folder(elsewhere).join("; ");
        (format!("orphaned machines still run: {lines}"), format!("{END_ORPHANS}; then run the command again"))
    } else {
        (
            format!(
                "this project and `{folder}` are copies of one folder, and {} of their cluster `{cluster}` run there",
                machines(count)
            ),
            format!(
                "work in `{folder}`; or remove this copy's state with `disco destroy`, which leaves these machines alone, and \
                 create a separate cluster with `disco bootstrap`"
            ),
        )
    };
    Some(Failure::new(ExitStatus::Guarded, message).hint(hint))
}

/// `1 machine`, `3 machines`.
fn machines(count: usize) -> String {
    if count == 1 { "1 machine".to_owned() } else { format!("{count} machines") }
}

/// Describes machines whose folder was removed, in one line per folder.
pub(crate) fn orphans_by_folder(orphans: &[RunningMachine]) -> Vec<String> {
    let places: BTreeSet<(&str, &Path)> =
        orphans.iter().map(|machine| (machine.cluster.as_str(), machine.project_dir())).collect();
    let lines = places.into_iter().map(|(cluster, folder)| {
        let of_it = |machine: &&RunningMachine| machine.cluster == cluster && machine.project_dir() == folder;
        let count = orphans.iter().filter(of_it).count();
        format!("{} of the cluster `{cluster}`, whose folder in `{}` was removed", machines(count), folder.display())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_machines_elsewhere_nothing_is_refused() {
        assert!(refusal(&[]).is_none());
        assert!(orphans_by_folder(&[]).is_empty());
    }

    #[test]
    fn machines_are_counted_in_words() {
        assert_eq!((machines(1).as_str(), machines(3).as_str()), ("1 machine", "3 machines"));
    }
}
