//! `drain` and `undrain`.

use std::time::Duration;

use disco_proto::v1::{DrainNode, change_workloads_request::Change};
use serde_json::json;

use crate::{
    cli::DrainArgs,
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::{Done, would},
    workload::{Catalogue, change},
};

/// Between two readings of what is left.
const BETWEEN: Duration = Duration::from_millis(200);
/// How long the cluster may have no leader meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(args: &DrainArgs, drained: bool, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let node = client.node(&args.node).await?;
    change(&client, Change::Drain(DrainNode { node_id: node.id, drained }), args.change.dry_run).await?;
    if args.change.dry_run {
        let step = match drained {
            true => format!("move {} from node {} `{}`", tasks(left(&client, node.id).await?), node.id, node.name),
            false => format!("let node {} `{}` have tasks again", node.id, node.name),
        };
        return would(context, vec![step]);
    }
    if drained && !args.change.detach {
        wait(&client, context, node.id, &node.name).await?;
    }
    let result = json!({ "id": node.id, "name": node.name, "drained": drained, "detached": args.change.detach });
    Done::named(result, &node.name).show(context)
}

/// Waits until the node has no tasks.
async fn wait(client: &Client, context: &Context, node: u64, name: &str) -> Outcome<()> {
    let client = client.polling(PATIENCE);
    let line = context.printer.task(name);
    loop {
        match left(&client, node).await? {
            0 => break,
            count => line.state(&format!("{} left", tasks(count))),
        }
        tokio::time::sleep(BETWEEN).await;
    }
    line.done("drained");
    Ok(())
}

/// Tasks that have not ended on a node.
async fn left(client: &Client, node: u64) -> Outcome<usize> {
    let catalogue = Catalogue::load(client).await?;
    Ok(catalogue.tasks.iter().filter(|task| task.record.node == node && !task.is_gone()).count())
}

fn tasks(count: usize) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}
