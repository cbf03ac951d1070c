use disco_provider::local::RunningMachine;
use serde_json::json;

use crate::{
    cli::DestroyArgs,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{
        END_ORPHANS, LeftHost, Purpose, destroy, elsewhere, end_orphans, orphans_by_folder, orphans_to_end, remains,
    },
    host::Script,
    project::{ClusterRecord, Lock},
    question::confirm,
    view::{Done, would},
};

pub(super) async fn run(args: &DestroyArgs, context: &Context) -> Outcome<ExitStatus> {
    let orphans = RunningMachine::all_lost();
    if let Some(cluster) = &args.orphans {
        return end_named(args, context, orphans, cluster).await;
    }
    let project = context.project()?;
    let state = project.state();
    let known = ClusterRecord::load(&state);
    let lost = match &known {
        Ok(None) => named_by_script(context).await,
        _ => None,
    };
    let (own, others): (Vec<_>, Vec<_>) =
        orphans.into_iter().partition(|machine| machine.project_dir() == project.root());
    if !state.exists() && lost.is_none() {
        if own.is_empty() {
            context.printer.note("no cluster: nothing to destroy");
        }
        // They ran in this very folder until its state was removed.
        warn_of(context, &others);
        return end(args, context, own, None).await;
    }
    // If there is a record, the folder belongs to another cluster by now.
    let (own, others_here) = if matches!(known, Ok(None)) { (own, Vec::new()) } else { (Vec::new(), own) };
    let (lost_elsewhere, elsewhere): (Vec<_>, Vec<_>) =
        elsewhere(&project).await?.into_iter().partition(|machine| machine.lost);
    let cluster = match (&known, &lost) {
        (Ok(Some(record)), _) | (_, Some(record)) => Some(record.name.clone()),
        // `destroy` prints what it can do without a record.
        _ => None,
    };
    let name = cluster.as_ref().map_or_else(|| "of this project".to_owned(), |name| format!("`{name}`"));
    if args.dry_run {
        let remains = remains(context, lost).await?;
        let mut steps = orphans_to_end(&own);
        steps.extend(remains.into_iter().map(|what| format!("terminate {what}")));
        steps.push(format!("remove `{}`", state.path().display()));
        warn_of(context, &others_here);
        return would(context, steps);
    }
    let _lock = Lock::take(&state, "destroy")?;
    let question = match elsewhere.first() {
        Some(machine) => format!(
            "Destroy this copy of the cluster {name}? Machines that run in `{}` are left alone.",
            machine.project_dir().display()
        ),
        None => format!("Destroy the cluster {name} with all its machines and data?"),
    };
    if !confirm(context, &question).await? {
        return Err(Failure::new(ExitStatus::Cancelled, "nothing was destroyed"));
    }
    end_orphans(context, own).await?;
    let left = destroy(context, lost, args.force).await?;
    for machine in &elsewhere {
        let (id, folder) = (&machine.id, machine.folder.display());
        context
            .printer
            .note(&format!("machine {id} in `{folder}` was left alone: it does not belong to this project folder"));
    }
    warn_of(context, &others_here);
    warn_of(context, &lost_elsewhere);
    let left: Vec<_> = left.iter().map(LeftHost::json).collect();
    Done::new(json!({ "destroyed": true, "cluster": cluster, "left": left })).show(context)
}

/// Terminates orphaned machines, or lists them.
async fn end(
    args: &DestroyArgs,
    context: &Context,
    orphans: Vec<RunningMachine>,
    cluster: Option<&str>,
) -> Outcome<ExitStatus> {
    if args.dry_run {
        return would(context, orphans_to_end(&orphans));
    }
    let ids: Vec<String> = orphans.iter().map(|machine| machine.id.clone()).collect();
    end_orphans(context, orphans).await?;
    Done::new(json!({ "destroyed": false, "cluster": cluster, "orphans": ids })).show(context)
}

/// Terminates the machines whose project folder was removed, of the cluster with this name or, if it is empty, of all clusters.
async fn end_named(
    args: &DestroyArgs,
    context: &Context,
    orphans: Vec<RunningMachine>,
    cluster: &str,
) -> Outcome<ExitStatus> {
    let named: Vec<_> =
        orphans.into_iter().filter(|machine| cluster.is_empty() || machine.cluster == cluster).collect();
    if named.is_empty() {
        let of = if cluster.is_empty() { String::new() } else { format!(" of a cluster `{cluster}`") };
        context.printer.note(&format!("no orphaned machine{of} on this computer: nothing to terminate"));
    }
    end(args, context, named, Some(cluster).filter(|name| !name.is_empty())).await
}

fn warn_of(context: &Context, orphans: &[RunningMachine]) {
    for line in orphans_by_folder(orphans) {
        context.printer.warn(&format!("orphaned: {line}; {END_ORPHANS}"));
    }
}

/// The cluster that `client.js` names, if its provider finds machines by their tags, without this project's state. `None` if the
/// script does not load.
async fn named_by_script(context: &Context) -> Option<ClusterRecord> {
    let script = Script::load(context, Purpose::Plan, None).await;
    let founder = script.and_then(|script| script.founder());
    founder.inspect_err(|failure| tracing::debug!(%failure, "cannot load the script")).ok()?.without_state()
}
