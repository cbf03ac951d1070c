use crate::{
    cli::PsArgs,
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::TasksView,
    workload::{Catalogue, Target, resolve},
};

pub(super) async fn run(args: &PsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let target = args.target.as_deref().map(|named| resolve(named, &catalogue)).transpose()?;
    // Of a job's runs that are over there may be many: they are shown to those who ask for the job.
    let all = matches!(target, Some(Target::Service(..) | Target::Copy(..) | Target::Task(_)));
    let chosen = catalogue
        .tasks
        .iter()
        .filter(|task| target.as_ref().is_none_or(|target| target.has(&task.record)))
        .filter(|task| all || task.record.run.is_none() || !task.is_gone());
    let view = TasksView::new(chosen, &catalogue);
    if view.is_empty() {
        context.printer.note("no tasks: `disco deploy` deploys a stack");
    }
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}
