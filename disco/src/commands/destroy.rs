use crate::{
    app::Context,
    cli::DestroyArgs,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{destroy, remains},
    project::{ClusterRecord, Lock},
    question::confirm,
};

pub(super) async fn run(args: &DestroyArgs, context: &Context) -> Outcome<ExitStatus> {
    let project = context.project()?;
    let state = project.state();
    if !state.exists() {
        context.printer.note("there is no cluster: nothing to end");
        return Ok(ExitStatus::Done);
    }
    let name = match ClusterRecord::load(&state) {
        Ok(Some(record)) => format!("`{}`", record.name),
        // What can be done without a record is said where it is done.
        Ok(None) | Err(_) => "of this project".to_owned(),
    };
    if args.dry_run {
        for what in remains(context).await? {
            context.printer.note(&format!("would end {what}"));
        }
        context.printer.note(&format!("would remove `{}`", state.path().display()));
        return Ok(ExitStatus::Done);
    }
    let _lock = Lock::take(&state, "destroy")?;
    if !confirm(context, &format!("End the cluster {name} with all its machines and data?")).await? {
        return Err(Failure::new(ExitStatus::Cancelled, "nothing was ended"));
    }
    destroy(context).await?;
    Ok(ExitStatus::Done)
}
