use std::collections::BTreeSet;

use disco_store::typed::{NodeRecord, keys::NODES};

use crate::{
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::{NodeView, NodesView},
};

pub(super) async fn run(context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let status = client.status(false).await?;
    let exit = if status.stale { ExitStatus::Unreachable } else { ExitStatus::Done };
    for warning in &status.warnings {
        context.printer.warn(warning);
    }
    let drained = if status.stale { BTreeSet::new() } else { drained(&client).await? };
    let nodes = status.nodes.into_iter().map(|node| {
        let is_drained = drained.contains(&node.id);
        NodeView::from(node).drained(is_drained)
    });
    context.printer.show(&NodesView(nodes.collect()))?;
    Ok(exit)
}

/// The nodes that get no tasks.
async fn drained(client: &Client) -> Outcome<BTreeSet<u64>> {
    let records = client.under(NODES).await?.kvs;
    // A record of another version of Disco says nothing about draining.
    let nodes = records.iter().filter_map(|kv| serde_json::from_slice::<NodeRecord>(&kv.value).ok());
    Ok(nodes.filter(|node| node.drained).map(|node| node.id).collect())
}
