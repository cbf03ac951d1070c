use disco_store::typed::keys::DEPLOYMENTS;

use crate::{client::Client, context::Context, error::Outcome, exit::ExitStatus, view::DeploymentsView};

pub(super) async fn run(context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let view = DeploymentsView::new(client.records(DEPLOYMENTS).await?);
    if view.is_empty() {
        context.printer.note("no deployments yet: `disco deploy` starts one");
    }
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}
