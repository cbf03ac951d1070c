use crate::{
    cli::PsArgs,
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::TasksView,
    workload::{Catalogue, resolve},
};

pub(super) async fn run(args: &PsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let target = args.target.as_deref().map(|named| resolve(named, &catalogue)).transpose()?;
    let chosen = catalogue.tasks.iter().filter(|task| target.as_ref().is_none_or(|target| target.has(&task.record)));
    let view = TasksView::new(chosen, &catalogue);
    if view.is_empty() {
        context.printer.note("no tasks: `disco deploy` deploys a stack");
    }
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}
