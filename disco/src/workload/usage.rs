//! What nodes and tasks use: rates from two measurements of each node.

use std::{collections::BTreeMap, time::Duration};

use disco_proto::v1::{UsageRequest, UsageResponse};
use futures_util::future::join_all;

use crate::{
    client::{Client, from_status},
    error::Outcome,
};

/// Time for a node to measure.
const MEASURED_WITHIN: Duration = Duration::from_secs(5);

/// Measurements of nodes at about the same time. `Err`: why a node has none.
pub(crate) type Sample = BTreeMap<u64, Result<UsageResponse, String>>;

/// What a node used between two measurements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeUsage {
    /// Of the whole machine, in percent; `None` without two measurements.
    pub(crate) cpu_percent: Option<f64>,
    pub(crate) processors: u32,
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) memory_used: u64,
}

/// What a task used between two measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TaskUsage {
    /// Of one processor, in percent; `None` without two measurements of the same start.
    pub(crate) cpu_percent: Option<f64>,
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) processes: u32,
}

/// Measures these nodes at once.
pub(crate) async fn sample(client: &Client, nodes: &[u64]) -> Sample {
    let measured = nodes.iter().map(|node| async {
        let request = UsageRequest { node_id: *node };
        let measuring = async {
            let (_, mut control) = client.connection().await?;
            control.usage(request).await.map(tonic::Response::into_inner).map_err(|status| from_status(&status))
        };
        let result: Outcome<UsageResponse> = match tokio::time::timeout(MEASURED_WITHIN, measuring).await {
            Ok(result) => result,
            Err(_) => return (*node, Err(format!("no answer within {}s", MEASURED_WITHIN.as_secs()))),
        };
        (
            *node,
            result
                .map_err(|failure| failure.causes().first().map_or_else(|| failure.message().to_owned(), Clone::clone)),
        )
    });
    join_all(measured).await.into_iter().collect()
}

/// What a node used between two measurements of it.
pub(crate) fn node_usage(before: Option<&UsageResponse>, now: &UsageResponse) -> NodeUsage {
    let cpu_percent = before.and_then(|before| {
        let (time, busy) = (elapsed_ms(before, now)?, now.busy_ms.checked_sub(before.busy_ms)?);
        Some((percent(busy, time) / f64::from(now.processors.max(1))).min(100.0))
    });
    let UsageResponse { processors, memory, memory_used, .. } = *now;
    NodeUsage { cpu_percent, processors, memory, memory_used }
}

/// What the tasks of a node used between two measurements of it, by their ids.
pub(crate) fn task_usages(before: Option<&UsageResponse>, now: &UsageResponse) -> BTreeMap<u64, TaskUsage> {
    let usages = now.tasks.iter().map(|task| {
        let cpu_percent = before.and_then(|before| {
            let same =
                |then: &&disco_proto::v1::TaskUsage| then.task_id == task.task_id && then.attempt == task.attempt;
            let used_us = task.cpu_us.checked_sub(before.tasks.iter().find(same)?.cpu_us)?;
            Some(percent(used_us / 1_000, elapsed_ms(before, now)?))
        });
        (task.task_id, TaskUsage { cpu_percent, memory: task.memory, processes: task.processes })
    });
    usages.collect()
}

/// `None`: the machine was restarted, or no time has passed.
fn elapsed_ms(before: &UsageResponse, now: &UsageResponse) -> Option<u64> {
    now.at_ms.checked_sub(before.at_ms).filter(|time| *time > 0)
}

fn percent(part: u64, whole: u64) -> f64 {
    // In tenths, as more digits would mean nothing.
    (part as f64 * 1_000.0 / whole as f64).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(at_ms: u64, busy_ms: u64, tasks: &[(u64, u64, u64)]) -> UsageResponse {
        let tasks = tasks.iter().map(|(task_id, attempt, cpu_ms)| disco_proto::v1::TaskUsage {
            task_id: *task_id,
            attempt: *attempt,
            cpu_us: cpu_ms * 1_000,
            memory: 1 << 20,
            processes: 2,
        });
        UsageResponse { node_id: 1, at_ms, busy_ms, processors: 2, tasks: tasks.collect(), ..UsageResponse::default() }
    }

    #[test]
    fn a_rate_is_of_one_processor_for_a_task_and_of_the_machine_for_a_node() {
        let (before, now) = (measured(1_000, 500, &[(7, 0, 100)]), measured(3_000, 2_500, &[(7, 0, 1_600)]));
        assert_eq!(node_usage(Some(&before), &now).cpu_percent, Some(50.0));
        assert_eq!(task_usages(Some(&before), &now)[&7].cpu_percent, Some(75.0));
    }

    #[test]
    fn without_two_measurements_of_the_same_start_there_is_no_rate() {
        let now = measured(3_000, 2_500, &[(7, 1, 10), (8, 0, 10)]);
        let before = measured(1_000, 500, &[(7, 0, 5_000)]);
        let tasks = task_usages(Some(&before), &now);
        assert_eq!((tasks[&7].cpu_percent, tasks[&8].cpu_percent), (None, None));
        assert_eq!(node_usage(None, &now).cpu_percent, None);
        // After a restart of the machine.
        assert_eq!(node_usage(Some(&measured(9_000, 0, &[])), &now).cpu_percent, None);
        assert_eq!(tasks[&7].memory, 1 << 20);
    }
}
