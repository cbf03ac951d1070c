use disco_proto::v1::StatusResponse;

use super::status::gather;
use crate::{
    cli::CertRotateArgs,
    client::{Client, known_node},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{Revival, bring_back, renew_operator, replace_signing_key, require_root},
    project::{KnownNode, Lock},
    view::would,
};

pub(crate) async fn run(args: &CertRotateArgs, context: &Context) -> Outcome<ExitStatus> {
    if args.expired {
        return match bring_back(context, &args.nodes, args.dry_run).await? {
            Revival::Planned(steps) => would(context, steps),
            Revival::Done(client) => show(&client, context).await,
        };
    }
    if args.dry_run {
        return would(context, planned(args, context).await?);
    }
    if args.operator {
        operator(context)?;
    }
    // Uses the operator's new certificate if it was just renewed.
    let client = Client::open(context)?;
    if concerns_nodes(args) {
        nodes(args, context, &client).await?;
    }
    show(&client, context).await
}

async fn show(client: &Client, context: &Context) -> Outcome<ExitStatus> {
    context.printer.show(&gather(client, context).await?)?;
    Ok(ExitStatus::Done)
}

/// Whether anything is renewed beside the operator's own certificate.
fn concerns_nodes(args: &CertRotateArgs) -> bool {
    args.signing_key || !args.operator || !args.nodes.is_empty()
}

/// The steps of a dry run.
async fn planned(args: &CertRotateArgs, context: &Context) -> Outcome<Vec<String>> {
    let mut steps = Vec::new();
    if args.operator {
        require_root(&context.project()?.state())?;
        steps.push("renew this operator's certificate".to_owned());
    }
    if !concerns_nodes(args) {
        return Ok(steps);
    }
    if args.signing_key {
        require_root(&context.project()?.state())?;
        steps.push("replace the signing key".to_owned());
    }
    let status = Client::open(context)?.settled().await?;
    let nodes = chosen(&status, &args.nodes)?.into_iter();
    steps.extend(nodes.map(|node| format!("renew the certificate of node {} `{}`", node.id, node.name)));
    Ok(steps)
}

fn operator(context: &Context) -> Outcome<()> {
    let state = context.project()?.state();
    let root = require_root(&state)?;
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
    let nodes = chosen(&client.settled().await?, &args.nodes)?;
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
