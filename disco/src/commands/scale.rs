use disco_proto::v1::ScaleRequest;

use crate::{
    cli::ScaleArgs,
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    founding::{Purpose, names_hosts, renew_signing_key},
    host::Script,
};

pub(super) async fn run(args: &ScaleArgs, context: &Context) -> Outcome<ExitStatus> {
    if args.change.dry_run {
        context.printer.show(&super::plan::of_scale(context, args.target.nodes).await?)?;
        return Ok(ExitStatus::Done);
    }
    let client = Client::open(context)?;
    add_hosts(context, &client).await?;
    let request = ScaleRequest { nodes: args.target.nodes, detach: args.change.detach, ..ScaleRequest::default() };
    client.follow(&context.printer, |mut control| async move { control.scale(request).await }).await?;
    if !args.change.detach {
        renew_signing_key(&client, context).await?;
        client.settled().await?;
    }
    Ok(ExitStatus::Done)
}

/// The given hosts are those that `client.js` names now, not those at the cluster's creation.
async fn add_hosts(context: &Context, client: &Client) -> Outcome<()> {
    let project = context.project()?;
    if !names_hosts(&project)? || project.client_script().is_err() {
        return Ok(());
    }
    let script = Script::load(context, Purpose::Work, None).await;
    match script.and_then(|script| script.founder()) {
        Ok(founder) => founder.prepare_hosts(client).await,
        // The hosts that the cluster already knows may be enough.
        Err(failure) => {
            context.printer.warn(&format!("cannot add hosts that are new in `client.js`: {failure}"));
            Ok(())
        }
    }
}
