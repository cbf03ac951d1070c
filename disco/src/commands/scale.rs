use disco_proto::v1::ScaleRequest;

use crate::{
    app::Context, cli::ScaleArgs, client::Client, error::Outcome, exit::ExitStatus, founding::renew_signing_key,
};

pub(super) async fn run(args: &ScaleArgs, context: &Context) -> Outcome<ExitStatus> {
    if args.change.dry_run {
        context.printer.show(&super::plan::of_scale(context, args.target.nodes).await?)?;
        return Ok(ExitStatus::Done);
    }
    let client = Client::open(context)?;
    let request = ScaleRequest { nodes: args.target.nodes, detach: args.change.detach, ..ScaleRequest::default() };
    client.follow(&context.printer, |mut control| async move { control.scale(request).await }).await?;
    if !args.change.detach {
        renew_signing_key(&client, context).await?;
        client.settled().await?;
    }
    Ok(ExitStatus::Done)
}
