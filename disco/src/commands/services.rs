use crate::{
    cli::ServicesArgs,
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    view::ServicesView,
    workload::{Catalogue, resolve},
};

pub(super) async fn run(args: &ServicesArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let catalogue = Catalogue::load(&client).await?;
    let target = args.target.as_deref().map(|named| resolve(named, &catalogue)).transpose()?;
    let chosen = match target.as_ref().map(|target| target.services()) {
        None => None,
        Some(Some(chosen)) => Some(chosen),
        Some(None) => return Err(Failure::usage("expected a stack or a service: `disco ps` lists tasks")),
    };
    let services = catalogue.services.values().filter(|service| {
        chosen.is_none_or(|(stack, name)| service.stack == stack && name.is_none_or(|name| service.name == name))
    });
    let view = ServicesView::new(services, &catalogue);
    if view.is_empty() {
        context.printer.note("no services: `disco deploy` deploys a stack");
    }
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}
