use std::collections::BTreeMap;

use disco_proto::v1::TaskOutputRequest;
use disco_store::typed::{
    CapacityRecord, DeploymentRecord, EventRecord,
    keys::{CAPACITIES, DEPLOYMENTS, EVENTS, number},
};
use serde::de::DeserializeOwned;

use crate::{
    cli::WhyArgs,
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::WhyView,
    workload::{Catalogue, Explanation, Known, explain, explain_node, read_output, resolve},
};

/// Events among which those that concern the target are sought.
const NEWEST: u32 = 400;
/// Lines of output that are shown.
const LINES: u32 = 10;

pub(super) async fn run(args: &WhyArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let known = read(&client).await?;
    for warning in &known.status.warnings {
        context.printer.warn(warning);
    }
    let id = args.target.parse::<u64>().ok();
    let node = known.status.nodes.iter().find(|node| node.name == args.target || Some(node.id) == id);
    let answers = match node {
        Some(node) => vec![explain_node(node.id, &known)],
        None => explain(&resolve(&args.target, &known.catalogue)?, &args.target, &known),
    };
    let mut shown = Vec::new();
    for answer in answers {
        let output = output(&client, &answer).await;
        shown.push((answer, output));
    }
    context.printer.show(&WhyView(shown))?;
    Ok(ExitStatus::Done)
}

async fn read(client: &Client) -> Outcome<Known> {
    let status = client.status(false).await?;
    Ok(Known {
        catalogue: Catalogue::load(client).await?,
        status,
        deployments: numbered::<DeploymentRecord>(client, DEPLOYMENTS).await?,
        capacities: numbered::<CapacityRecord>(client, CAPACITIES).await?,
        events: events(client).await?,
    })
}

/// Records by the numbers in their keys. One of another version of Disco explains nothing.
async fn numbered<T: DeserializeOwned>(client: &Client, prefix: &str) -> Outcome<BTreeMap<u64, T>> {
    let records = client.under(prefix).await?.kvs;
    let read =
        records.iter().filter_map(|kv| Some((number(prefix, &kv.key)?, serde_json::from_slice(&kv.value).ok()?)));
    Ok(read.collect())
}

async fn events(client: &Client) -> Outcome<Vec<EventRecord>> {
    let newest = client.newest(EVENTS, NEWEST).await?.kvs;
    Ok(newest.iter().filter_map(|kv| serde_json::from_slice(&kv.value).ok()).collect())
}

/// The last lines of the task in which the answer leads; none if they cannot be read, as the reasons are worth more.
async fn output(client: &Client, answer: &Explanation) -> Vec<String> {
    let Some(task_id) = answer.output_of else { return Vec::new() };
    let request = TaskOutputRequest { task_id, lines: LINES, ..TaskOutputRequest::default() };
    match read_output(client, request).await {
        Ok(parts) => parts.iter().map(|part| String::from_utf8_lossy(&part.line).trim_end().to_owned()).collect(),
        Err(failure) => {
            tracing::debug!(%failure, task_id, "cannot read a task's output");
            Vec::new()
        }
    }
}
