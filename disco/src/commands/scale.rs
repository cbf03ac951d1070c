use disco_proto::v1::{ScaleRequest, ScaleService, change_workloads_request::Change};
use serde_json::json;

use crate::{
    cli::{ScaleArgs, ScaleTarget},
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{Purpose, names_hosts, renew_signing_key},
    host::Script,
    question::confirm,
    view::{Done, would_change},
    workload::{Catalogue, Scope, change, finish, service},
};

pub(super) async fn run(args: &ScaleArgs, context: &Context) -> Outcome<ExitStatus> {
    match &args.target {
        ScaleTarget::Nodes(count) => nodes(*count, args, context).await,
        ScaleTarget::Service { name, copies } => copies_of(name, *copies, args, context).await,
    }
}

async fn copies_of(name: &str, copies: u32, args: &ScaleArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let (stack, service) = service(name, &Catalogue::load(&client).await?)?;
    let request = ScaleService { stack: stack.clone(), service: service.clone(), copies };
    let answer = change(&client, Change::Scale(request), args.change.dry_run).await?;
    if args.change.dry_run {
        return would_change(context, &answer);
    }
    let scope = Scope { deployment: answer.deployment, stack, services: vec![service] };
    finish(&client, context, args.change, answer, &scope).await
}

async fn nodes(nodes: u32, args: &ScaleArgs, context: &Context) -> Outcome<ExitStatus> {
    if args.change.dry_run {
        context.printer.show(&super::plan::of_scale(context, nodes).await?)?;
        return Ok(ExitStatus::Done);
    }
    let client = Client::open(context)?;
    confirm_size(nodes, context, &client).await?;
    add_hosts(context, &client).await?;
    let request = ScaleRequest { nodes, detach: args.change.detach, ..ScaleRequest::default() };
    client.follow(&context.printer, |mut control| async move { control.scale(request).await }).await?;
    if !args.change.detach {
        renew_signing_key(&client, context).await?;
        client.settled().await?;
    }
    Done::named(json!({ "nodes": nodes, "detached": args.change.detach }), &nodes.to_string()).show(context)
}

/// Says what the number of nodes means for losses, and asks before the cluster loses its tolerance of any.
async fn confirm_size(nodes: u32, context: &Context, client: &Client) -> Outcome<()> {
    let status = client.settled().await?;
    let now = u32::try_from(status.nodes.len()).unwrap_or(u32::MAX).max(status.desired_nodes);
    if nodes == now {
        return Ok(());
    }
    note_meaning(context, nodes);
    if nodes == 1 {
        let question =
            format!("Remove {} of {now} nodes? The loss of the last one loses the cluster and its data.", now - 1);
        if !confirm(context, &question).await? {
            return Err(Failure::new(ExitStatus::Cancelled, format!("the cluster keeps its {now} nodes")));
        }
    }
    Ok(())
}

/// Says what this number of nodes means for losses.
pub(super) fn note_meaning(context: &Context, nodes: u32) {
    if let Some(meaning) = meaning(nodes) {
        context.printer.note(meaning);
    }
}

/// What an even number of nodes means: the number of voters is odd.
fn meaning(nodes: u32) -> Option<&'static str> {
    match nodes {
        2 => Some("one of 2 nodes votes: the loss of that one stops the cluster; 3 nodes tolerate the loss of any one"),
        4 => Some(
            "3 of 4 nodes vote: 4 nodes tolerate the loss of one voter, as 3 nodes do; 5 nodes tolerate the loss of two",
        ),
        _ => None,
    }
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
