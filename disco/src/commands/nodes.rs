use crate::{
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::{NodeView, NodesView},
};

pub(super) async fn run(context: &Context) -> Outcome<ExitStatus> {
    let status = Client::open(context)?.status(false).await?;
    let exit = if status.stale { ExitStatus::Unreachable } else { ExitStatus::Done };
    for warning in &status.warnings {
        context.printer.warn(warning);
    }
    context.printer.show(&NodesView(status.nodes.into_iter().map(NodeView::from).collect()))?;
    Ok(exit)
}
