use disco_proto::v1::RemoveNodeRequest;

use crate::{
    cli::{NodeRmArgs, NodeSshArgs},
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::renew_signing_key,
    question::confirm,
    remote,
};

pub(super) async fn ssh(args: &NodeSshArgs, context: &Context) -> Outcome<ExitStatus> {
    remote::run(context, &args.node, &args.command).await
}

pub(super) async fn rm(args: &NodeRmArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let node = client.node(&args.node).await?;
    if args.change.dry_run {
        context.printer.note(&format!(
            "would remove node {} `{}` at {}, and terminate its machine",
            node.id, node.name, node.address
        ));
        return Ok(ExitStatus::Done);
    }
    if !confirm(context, &format!("Remove node {} `{}` and terminate its machine?", node.id, node.name)).await? {
        return Err(Failure::new(ExitStatus::Cancelled, "nothing was removed"));
    }
    let request = RemoveNodeRequest { node_id: node.id, detach: args.change.detach, force: args.force };
    client.follow(&context.printer, |mut control| async move { control.remove_node(request).await }).await?;
    if !args.change.detach {
        renew_signing_key(&client, context).await?;
    }
    Ok(ExitStatus::Done)
}
