use crate::{
    app::Context,
    cli::DestroyArgs,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{Purpose, destroy, remains},
    host::Script,
    project::{ClusterRecord, Lock},
    question::confirm,
};

pub(super) async fn run(args: &DestroyArgs, context: &Context) -> Outcome<ExitStatus> {
    let project = context.project()?;
    let state = project.state();
    let known = ClusterRecord::load(&state);
    let lost = match &known {
        Ok(None) => named_by_script(context).await,
        _ => None,
    };
    if !state.exists() && lost.is_none() {
        context.printer.note("there is no cluster: nothing to end");
        return Ok(ExitStatus::Done);
    }
    let name = match (&known, &lost) {
        (Ok(Some(record)), _) | (_, Some(record)) => format!("`{}`", record.name),
        // What can be done without a record is said where it is done.
        _ => "of this project".to_owned(),
    };
    if args.dry_run {
        for what in remains(context, lost).await? {
            context.printer.note(&format!("would end {what}"));
        }
        context.printer.note(&format!("would remove `{}`", state.path().display()));
        return Ok(ExitStatus::Done);
    }
    let _lock = Lock::take(&state, "destroy")?;
    if !confirm(context, &format!("End the cluster {name} with all its machines and data?")).await? {
        return Err(Failure::new(ExitStatus::Cancelled, "nothing was ended"));
    }
    destroy(context, lost).await?;
    Ok(ExitStatus::Done)
}

/// The cluster that `client.js` names, where its machines are found without this project's state: by their tags. A script that
/// does not load names none.
async fn named_by_script(context: &Context) -> Option<ClusterRecord> {
    let script = Script::load(context, Purpose::Plan, None).await;
    let founder = script.and_then(|script| script.founder());
    founder.inspect_err(|failure| tracing::debug!(%failure, "no script to ask")).ok()?.without_state()
}
