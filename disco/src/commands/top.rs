use std::collections::BTreeSet;

use disco_proto::v1::StatusResponse;

use crate::{
    cli::{Format, TopArgs, TopOrder},
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::{TopNode, TopTask, TopView},
    workload::{Catalogue, Sample, Target, node_usage, resolve, sample, task_usages},
};

/// Moves to the first place of the terminal, and clears the rest.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";
/// Time between the first two measurements: a first picture shall not take long.
const FIRST: std::time::Duration = std::time::Duration::from_secs(1);

pub(super) async fn run(args: &TopArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let live = context.settings.output_terminal && matches!(context.printer.format(), Format::Table | Format::Wide);
    let rounds = args.count.or((!context.settings.output_terminal).then_some(1));
    let interval = args.interval.unsigned_abs();
    let mut before = sample(&client, &members(&client.status(false).await?)).await;
    let mut round = 0;
    let mut unmeasured = false;
    while rounds.is_none_or(|rounds| round < rounds) {
        tokio::time::sleep(if round == 0 { interval.min(FIRST) } else { interval }).await;
        let status = client.status(false).await?;
        let catalogue = Catalogue::load(&client).await?;
        let target = args.target.as_deref().map(|named| resolve(named, &catalogue)).transpose()?;
        let now = sample(&client, &members(&status)).await;
        let view = view(&status, &catalogue, target.as_ref(), args.sort, (&before, &now));
        if live && rounds != Some(1) {
            context.printer.write(CLEAR)?;
        }
        context.printer.show(&view)?;
        unmeasured = now.values().any(Result::is_err);
        before = now;
        round += 1;
    }
    Ok(if unmeasured { ExitStatus::Unreachable } else { ExitStatus::Done })
}

fn members(status: &StatusResponse) -> Vec<u64> {
    status.nodes.iter().map(|node| node.id).collect()
}

fn view(
    status: &StatusResponse,
    catalogue: &Catalogue,
    target: Option<&Target>,
    order: TopOrder,
    (before, now): (&Sample, &Sample),
) -> TopView {
    let measured = |sample: &'_ Sample, node: u64| sample.get(&node).and_then(|usage| usage.as_ref().ok()).cloned();
    let shown = catalogue.tasks.iter().filter(|task| !task.is_gone());
    let mut tasks: Vec<TopTask> = shown
        .filter(|task| target.is_none_or(|target| target.has(&task.record)))
        .map(|task| {
            let node = task.record.node;
            let usage = measured(now, node)
                .and_then(|now| task_usages(measured(before, node).as_ref(), &now).get(&task.record.id).copied());
            TopTask { node_name: catalogue.node_name(node), usage, task: task.clone() }
        })
        .collect();
    // The catalogue is in the order of names, which stays for equal ones.
    match order {
        TopOrder::Name => {}
        TopOrder::Memory => tasks.sort_by_key(|row| std::cmp::Reverse(row.usage.map_or(0, |usage| usage.memory))),
        TopOrder::Cpu => tasks.sort_by(|a, b| {
            let cpu = |row: &TopTask| row.usage.and_then(|usage| usage.cpu_percent).unwrap_or(-1.0);
            cpu(b).total_cmp(&cpu(a))
        }),
    }
    let used: BTreeSet<u64> = tasks.iter().map(|row| row.task.record.node).collect();
    let nodes = status.nodes.iter().filter(|node| target.is_none() || used.contains(&node.id)).map(|node| {
        let usage = match now.get(&node.id) {
            Some(Ok(usage)) => Ok(node_usage(measured(before, node.id).as_ref(), usage)),
            Some(Err(why)) => Err(why.clone()),
            None => Err("not measured yet".to_owned()),
        };
        let tasks = tasks.iter().filter(|row| row.task.record.node == node.id).count();
        TopNode { id: node.id, name: node.name.clone(), tasks, usage }
    });
    TopView { time: jiff::Timestamp::now().to_string(), nodes: nodes.collect(), tasks }
}
