use std::time::Duration;

use disco_proto::v1::ScaleRequest;

use crate::{
    app::Context,
    cli::ScaleArgs,
    client::{Client, follow},
    error::Outcome,
    exit::ExitStatus,
    founding::renew_signing_key,
};

/// Time until the cluster has taken the number: the work itself is shown by the stream.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn run(args: &ScaleArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let request = ScaleRequest { nodes: args.target.nodes, dry_run: args.change.dry_run, detach: args.change.detach };
    // The number is a state: setting it twice changes nothing more.
    let stream = client.call_within(TAKEN_WITHIN, |mut control| async move { control.scale(request).await }).await?;
    follow(stream, &context.printer).await?;
    if !args.change.dry_run && !args.change.detach {
        renew_signing_key(&client, context).await?;
        client.settled().await?;
    }
    Ok(ExitStatus::Done)
}
