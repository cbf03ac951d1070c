//! Where the machines of a project run: in its folder, as they should, in another one of which this is a copy, or in a folder that
//! was removed.

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

/// Ends what has lost its folder.
pub(crate) const END_ORPHANS: &str = "`disco destroy --orphans` ends them";

/// The machines of this project's cluster that run for another folder than this one.
pub(crate) async fn elsewhere(project: &Project) -> Outcome<Vec<RunningMachine>> {
    // Commands that need a record say themselves what is wrong with it.
    let Ok(Some(record)) = ClusterRecord::load(&project.state()) else { return Ok(Vec::new()) };
    let provider = recorded_provider(project, &record)?;
    provider.elsewhere().await.map_err(|error| provider_failure(&error))
}

/// Refuses to change, from a copy of a project, the cluster of the original: whoever copies a folder does not mean to command
/// the same machines from both.
pub(crate) async fn require_original(context: &Context) -> Outcome<()> {
    // Without a project there is nothing to copy; the command says that.
    let Ok(project) = context.project() else { return Ok(()) };
    refusal(&elsewhere(&project).await?).map_or(Ok(()), Err)
}

/// Why nothing is done here while these machines run elsewhere; `None` where there are none.
pub(crate) fn refusal(elsewhere: &[RunningMachine]) -> Option<Failure> {
    let living = elsewhere.iter().find(|machine| !machine.lost);
    let machine = living.or_else(|| elsewhere.first())?;
    let (cluster, folder) = (&machine.cluster, machine.project_dir().display());
    let count = elsewhere.iter().filter(|one| one.lost == machine.lost).count();
    let (message, hint) = if machine.lost {
        let told = orphans_by_folder(elsewhere).join("; ");
        (format!("these still run: {told}"), format!("{END_ORPHANS}; then run the command again"))
    } else {
        (
            format!(
                "this project and `{folder}` are copies of one folder, and {} of their cluster `{cluster}` run there",
                machines(count)
            ),
            format!(
                "work in `{folder}`; or end this copy by `disco destroy`, which leaves them alone, and make a cluster of \
                 its own by `disco bootstrap`"
            ),
        )
    };
    Some(Failure::new(ExitStatus::Guarded, message).hint(hint))
}

/// `1 machine`, `3 machines`.
fn machines(count: usize) -> String {
    if count == 1 { "1 machine".to_owned() } else { format!("{count} machines") }
}

/// Machines whose folder was removed, told in one line for each folder.
pub(crate) fn orphans_by_folder(orphans: &[RunningMachine]) -> Vec<String> {
    let places: BTreeSet<(&str, &Path)> =
        orphans.iter().map(|machine| (machine.cluster.as_str(), machine.project_dir())).collect();
    let told = places.into_iter().map(|(cluster, folder)| {
        let of_it = |machine: &&RunningMachine| machine.cluster == cluster && machine.project_dir() == folder;
        let count = orphans.iter().filter(of_it).count();
        format!("{} of the cluster `{cluster}`, whose folder in `{}` is gone", machines(count), folder.display())
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_is_in_its_folder_nothing_is_refused() {
        assert!(refusal(&[]).is_none());
        assert!(orphans_by_folder(&[]).is_empty());
    }

    #[test]
    fn machines_are_counted_in_words() {
        assert_eq!((machines(1).as_str(), machines(3).as_str()), ("1 machine", "3 machines"));
    }
}
