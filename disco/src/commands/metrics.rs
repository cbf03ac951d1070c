use disco_proto::v1::MetricsRequest;

use crate::{cli::MetricsArgs, client::Client, context::Context, error::Outcome, exit::ExitStatus};

pub(super) async fn run(args: &MetricsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let request = MetricsRequest { node_id: client.node(&args.node).await?.id };
    let metrics = client.call(|mut control| async move { control.metrics(request).await }).await?;
    context.printer.write(metrics.text.as_bytes())?;
    Ok(ExitStatus::Done)
}
