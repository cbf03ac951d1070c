use disco_proto::v1::RemoveNodeRequest;
use serde_json::json;

use crate::{
    cli::{NodeRmArgs, NodeSshArgs},
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::renew_signing_key,
    question::confirm,
    remote,
    view::{Done, would},
};

pub(super) async fn ssh(args: &NodeSshArgs, context: &Context) -> Outcome<ExitStatus> {
    remote::run(context, &args.node, &args.command).await
}

pub(super) async fn rm(args: &NodeRmArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let node = client.node(&args.node).await?;
    if args.change.dry_run {
        let step = format!("remove node {} `{}` at {}, and terminate its machine", node.id, node.name, node.address);
        return would(context, vec![step]);
    }
    if !confirm(context, &format!("Remove node {} `{}` and terminate its machine?", node.id, node.name)).await? {
        return Err(Failure::new(ExitStatus::Cancelled, "nothing was removed"));
    }
    let request = RemoveNodeRequest { node_id: node.id, detach: args.change.detach, force: args.force };
    client.follow(&context.printer, |mut control| async move { control.remove_node(request).await }).await?;
    if !args.change.detach {
        renew_signing_key(&client, context).await?;
    }
    let removed =
        json!({ "id": node.id, "name": node.name, "removed": !args.change.detach, "detached": args.change.detach });
    Done::named(removed, &node.name).show(context)
}
