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
        catalogue.job_of(service).is_none()
            && chosen.is_none_or(|(stack, name)| service.stack == stack && name.is_none_or(|name| service.name == name))
    });
    let is_job = |(stack, name): (&str, Option<&str>)| {
        let service = catalogue.services.get(&(stack.to_owned(), name?.to_owned()))?;
        catalogue.job_of(service)
    };
    if chosen.and_then(is_job).is_some() {
        context.printer.note("it is a job, not a service: `disco job show JOB` shows it");
    }
    let view = ServicesView::new(services, &catalogue);
    if view.is_empty() && chosen.and_then(is_job).is_none() {
        let has_jobs = catalogue.services.values().any(|service| catalogue.job_of(service).is_some());
        context.printer.note(match has_jobs {
            true => "no services; `disco job ls` lists the jobs",
            false => "no services: `disco deploy` deploys a stack",
        });
    }
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}
