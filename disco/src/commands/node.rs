use disco_proto::v1::{NodeStatus, RemoveNodeRequest};
use serde_json::{Value, json};

use crate::{
    cli::{NodeAddArgs, NodeRmArgs, NodeSshArgs},
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{AddedHost, Purpose, existing_node, renew_signing_key},
    host::Script,
    project::Lock,
    question::confirm,
    remote,
    view::{Done, would},
};

pub(super) async fn ssh(args: &NodeSshArgs, context: &Context) -> Outcome<ExitStatus> {
    remote::run(context, &args.node, &args.command).await
}

pub(super) async fn add(args: &NodeAddArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let (purpose, lock) = match args.change.dry_run {
        true => (Purpose::Plan, None),
        false => (Purpose::Work, Some(Lock::take(&context.project()?.state(), "node add")?)),
    };
    let founder = Script::load(context, purpose, lock).await?.founder()?;
    let host = founder.named_host(&args.host)?;
    let status = client.settled().await?;
    if let Some(node) = existing_node(&status, &host) {
        context.printer.note(&format!("`{}` is node {} `{}` already", host.name, node.id, node.name));
        if !args.change.dry_run {
            founder.list_host(&host)?;
        }
        return Done::named(added(&host, Some(node), false), &node.name).show(context);
    }
    if args.change.dry_run {
        let steps = vec![
            format!("connect to {} and authorize the cluster's SSH key", host.target),
            format!("add `{}` to the hosts of the project and of the cluster", host.name),
            "make it a node".to_owned(),
        ];
        return would(context, steps);
    }
    founder.add_host(&client, &host).await?;
    super::scale::note_meaning(context, u32::try_from(status.nodes.len()).unwrap_or(u32::MAX).saturating_add(1));
    founder.grow(&client, &status, args.change.detach).await?;
    if args.change.detach {
        return Done::named(added(&host, None, true), &host.name).show(context);
    }
    renew_signing_key(&client, context).await?;
    let status = client.settled().await?;
    let node = existing_node(&status, &host).ok_or_else(|| {
        Failure::failed(format!("another host became a node, and `{}` did not", host.name))
            .hint("`disco events` says why; `disco doctor` tries every host")
    })?;
    Done::named(added(&host, Some(node), true), &node.name).show(context)
}

/// The result as JSON; without a node, the cluster is still making it one.
fn added(host: &AddedHost, node: Option<&NodeStatus>, added: bool) -> Value {
    let id = node.map(|node| node.id);
    let (name, address) = (node.map(|node| &node.name), node.map(|node| &node.address));
    json!({ "host": host.name, "ssh": host.target.to_string(), "added": added, "detached": node.is_none(), "id": id, "name": name, "address": address })
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
    // A given host.
    if !node.ssh.is_empty() {
        context.printer.note(&format!(
            "remove the host `{}` from the scripts' `hosts` too: otherwise `disco bootstrap` adds it again",
            node.ssh
        ));
    }
    let removed =
        json!({ "id": node.id, "name": node.name, "removed": !args.change.detach, "detached": args.change.detach });
    Done::named(removed, &node.name).show(context)
}
