use disco_proto::v1::StatusResponse;

use super::status::gather;
use crate::{
    cli::CertRotateArgs,
    client::{Client, known_node},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{bring_back, renew_operator, replace_signing_key, require_root},
    project::{KnownNode, Lock},
};

pub(crate) async fn run(args: &CertRotateArgs, context: &Context) -> Outcome<ExitStatus> {
    if args.expired {
        return match bring_back(context, &args.nodes, args.dry_run).await? {
            Some(client) => show(&client, context).await,
            None => Ok(ExitStatus::Done),
        };
    }
    if args.operator {
        operator(args, context)?;
    }
    // Uses the operator's new certificate if it was just renewed.
    let client = Client::open(context)?;
    if args.signing_key || !args.operator || !args.nodes.is_empty() {
        nodes(args, context, &client).await?;
    }
    if args.dry_run {
        return Ok(ExitStatus::Done);
    }
    show(&client, context).await
}

async fn show(client: &Client, context: &Context) -> Outcome<ExitStatus> {
    context.printer.show(&gather(client, context).await?)?;
    Ok(ExitStatus::Done)
}

fn operator(args: &CertRotateArgs, context: &Context) -> Outcome<()> {
    let state = context.project()?.state();
    let root = require_root(&state)?;
    if args.dry_run {
        context.printer.note("would renew this operator's certificate");
        return Ok(());
    }
    let _lock = Lock::take(&state, "cert rotate")?;
    let task = context.printer.task("operator");
    let own = renew_operator(&state, &root)?.own();
    task.done(&format!("{} has a new certificate", own.role));
    Ok(())
}

async fn nodes(args: &CertRotateArgs, context: &Context, client: &Client) -> Outcome<()> {
    let printer = &context.printer;
    // Check for the root first: without it the command could not finish.
    let root = if args.signing_key { Some(require_root(&context.project()?.state())?) } else { None };
    let status = client.settled().await?;
    let nodes = chosen(&status, &args.nodes)?;
    if args.dry_run {
        if root.is_some() {
            printer.note("would replace the signing key");
        }
        for node in &nodes {
            printer.note(&format!("would renew the certificate of node {} `{}`", node.id, node.name));
        }
        return Ok(());
    }
    if let Some(root) = &root {
        let task = printer.task("signing key");
        task.state("replacing");
        replace_signing_key(client, root).await?;
        task.done("replaced; the previous key is revoked once no node uses a certificate signed with it");
    }
    renew_each(&nodes, context, client).await?;
    if root.is_some() && client.settled().await?.signing_key_stale {
        return Err(Failure::failed("the new signing key was lost with the leader that generated it")
            .hint("run the command again"));
    }
    Ok(())
}

/// The nodes with these ids or names; all nodes if `named` is empty.
fn chosen(status: &StatusResponse, named: &[String]) -> Outcome<Vec<KnownNode>> {
    let nodes: Vec<KnownNode> = status.nodes.iter().filter_map(known_node).collect();
    if named.is_empty() {
        return Ok(nodes);
    }
    let find = |name: &String| {
        let id = name.parse::<u64>().ok();
        let found = nodes.iter().find(|node| node.name == *name || Some(node.id) == id);
        found.cloned().ok_or_else(|| {
            let names: Vec<String> = nodes.iter().map(|node| format!("`{}`", node.name)).collect();
            Failure::new(ExitStatus::NotFound, format!("no node `{name}` in `{}`", status.cluster))
                .hint(format!("the nodes are {}", names.join(", ")))
        })
    };
    named.iter().map(find).collect()
}

/// Renews one node after the other. A failure does not stop the rest.
async fn renew_each(nodes: &[KnownNode], context: &Context, client: &Client) -> Outcome<()> {
    let mut failures: Vec<(String, Failure)> = Vec::new();
    for node in nodes {
        let task = context.printer.task(&node.name);
        task.state("renewing");
        match client.renew_node(node).await {
            Ok(serial) => task.done(&format!("serves a new certificate, serial number {serial}")),
            Err(failure) => {
                task.failed("not renewed");
                failures.push((node.name.clone(), failure));
            }
        }
    }
    let Some((_, first)) = failures.first() else { return Ok(()) };
    let text = format!("{} of {} certificates were not renewed", failures.len(), nodes.len());
    let failure = Failure::new(first.status(), text).hint("repair these nodes, then run the command again");
    Err(failures.iter().fold(failure, |all, (name, one)| {
        let causes = one.causes().iter().map(|cause| format!(": {cause}")).collect::<String>();
        all.cause(format!("{name}: {}{causes}", one.message()))
    }))
}
