//! `Service` of scripts, on a node: read from this node's copy of the records, changed by the leader.

use std::time::Duration;

use disco_proto::v1::change_workloads_request::Change;
use disco_proto::v1::{ChangeWorkloadsRequest, RestartServices, ScaleService};
use disco_runtime_js::cluster::{ServiceChange, ServiceName};
use disco_runtime_js::{ErrorCode, HostError, Json};
use disco_store::Store;
use disco_store::typed::ServiceSummary;
use tokio::time::Instant;

use super::errors;
use crate::cluster::workloads;
use crate::node::Node;
use crate::peers::Hops;
use crate::records::{
    self, DeploymentRecord, DeploymentState, GroupRecord, NodeRecord, ServiceRecord, TaskRecord, TaskStateRecord, keys,
};

/// Time for a service to become healthy, where the script names none.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);
/// How often the records are compared at least: a new revision is noticed at once.
const LOOK: Duration = Duration::from_secs(1);

/// The service of this name; `None` if none has it.
pub(super) async fn get(node: &Node, name: &str) -> Result<Option<Json>, HostError> {
    barrier(node).await?;
    let Some(found) = named(node, name)? else { return Ok(None) };
    read(node, &found)
        .map(|summary| serde_json::to_value(summary).map_err(|error| HostError::from_error(&error)))
        .transpose()
}

/// Changes a service, and returns it once its tasks are exchanged.
pub(super) async fn change(node: &Node, service: &ServiceName, change: ServiceChange) -> Result<Json, HostError> {
    let (stack, name) = (service.stack.clone(), service.name.clone());
    let change = match change {
        ServiceChange::Scale(copies) => Change::Scale(ScaleService { stack, service: name, copies }),
        ServiceChange::Restart => Change::Restart(RestartServices { stack, service: name }),
    };
    let request = ChangeWorkloadsRequest { dry_run: false, change: Some(change) };
    let answer = workloads::request(node, Hops::default(), request).await.map_err(errors::operation)?;
    barrier(node).await?;
    if answer.deployment != 0 {
        until(node, None, || deployment_end(node, answer.deployment)).await?;
    }
    present(node, service)
}

/// Returns a service once it is complete.
pub(super) async fn wait_healthy(
    node: &Node,
    service: &ServiceName,
    limit: Option<Duration>,
) -> Result<Json, HostError> {
    let limit = limit.unwrap_or(HEALTHY_WITHIN);
    barrier(node).await?;
    let complete = until(node, Some(limit), || match read(node, service) {
        None => Some(Err(gone(service))),
        Some(summary) => summary.is_complete().then_some(Ok(())),
    });
    match complete.await {
        Err(error) if error.code == ErrorCode::Timeout => {
            let why = read(node, service).map_or_else(String::new, |summary| missing(&summary));
            let message = format!("`{}/{}` is not healthy within {limit:?}: {why}", service.stack, service.name);
            Err(HostError::new(message).with_code(ErrorCode::Timeout))
        }
        other => {
            other?;
            present(node, service)
        }
    }
}

/// What a service that is not complete lacks.
fn missing(summary: &ServiceSummary) -> String {
    let count = format!("{} of {} tasks are healthy", summary.healthy, summary.desired);
    let why = summary.failed.as_ref().or(summary.unplaced.as_ref()).or(summary.waits_for.as_ref());
    match why {
        Some(why) => format!("{count}; {why}"),
        None if summary.state == "complete" => count,
        None => format!("{count}; it is {}", summary.state),
    }
}

/// Returns the first outcome of `look`, which is repeated when the records change.
async fn until(
    node: &Node,
    limit: Option<Duration>,
    look: impl Fn() -> Option<Result<(), HostError>>,
) -> Result<(), HostError> {
    let mut revisions = node.raft().store().revisions();
    let end = limit.map(|limit| Instant::now() + limit);
    loop {
        revisions.mark_unchanged();
        if let Some(outcome) = look() {
            return outcome;
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Err(HostError::new("not in time").with_code(ErrorCode::Timeout));
        }
        let next = end.map_or(Instant::now() + LOOK, |end| end.min(Instant::now() + LOOK));
        // A store that changes no more has ended with the daemon, and this with it.
        let _ = tokio::time::timeout_at(next, revisions.changed()).await;
    }
}

fn deployment_end(node: &Node, id: u64) -> Option<Result<(), HostError>> {
    let record = node.raft().store().read(|store| records::get::<DeploymentRecord>(store, &keys::deployment(id)));
    let Some(record) = record.map(|record| record.value) else {
        let message = format!("deployment {id} does not exist any more");
        return Some(Err(HostError::new(message).with_code(ErrorCode::NotFound)));
    };
    let code = match record.state {
        DeploymentState::Running => return None,
        DeploymentState::Succeeded => return Some(Ok(())),
        DeploymentState::Failed => ErrorCode::Failed,
        DeploymentState::RolledBack => ErrorCode::RolledBack,
    };
    let why = record.error.unwrap_or_else(|| "no reason is known".to_owned());
    Some(Err(HostError::new(format!("deployment {id} failed: {why}")).with_code(code)))
}

/// This node's copy of the records is then as new as the call.
async fn barrier(node: &Node) -> Result<(), HostError> {
    let limit = node.raft().pace().request_timeout();
    node.raft().read_barrier(limit).await.map_err(errors::operation)
}

fn present(node: &Node, service: &ServiceName) -> Result<Json, HostError> {
    let summary = read(node, service).ok_or_else(|| gone(service))?;
    serde_json::to_value(summary).map_err(|error| HostError::from_error(&error))
}

fn gone(service: &ServiceName) -> HostError {
    let message = format!("no service `{}/{}`", service.stack, service.name);
    HostError::new(message).with_code(ErrorCode::NotFound)
}

/// The service that a name means.
fn named(node: &Node, name: &str) -> Result<Option<ServiceName>, HostError> {
    let all = node.raft().store().read(|store| records::list::<ServiceRecord>(store, keys::SERVICES));
    let of = |stack: &str, name: &str| ServiceName { stack: stack.to_owned(), name: name.to_owned() };
    if let Some((stack, own)) = name.split_once('/') {
        let exists = all.iter().any(|service| service.value.stack == stack && service.value.name == own);
        return Ok(exists.then(|| of(stack, own)));
    }
    let found: Vec<&ServiceRecord> = all.iter().map(|service| &service.value).filter(|own| own.name == name).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(of(&one.stack, name))),
        several => {
            let names: Vec<String> = several.iter().map(|one| format!("`{}/{name}`", one.stack)).collect();
            Err(HostError::invalid(format!("several stacks have a service `{name}`: name one of {}", names.join(", "))))
        }
    }
}

fn read(node: &Node, service: &ServiceName) -> Option<ServiceSummary> {
    node.raft().store().read(|store| summary(store, service))
}

fn summary(store: &Store, name: &ServiceName) -> Option<ServiceSummary> {
    let service = records::get::<ServiceRecord>(store, &keys::service(&name.stack, &name.name))?.value;
    let group = records::get::<GroupRecord>(store, &keys::group(service.group)).map(|group| group.value);
    let tasks: Vec<(TaskRecord, Option<TaskStateRecord>)> = records::list::<TaskRecord>(store, keys::TASKS)
        .into_iter()
        .map(|task| task.value)
        .filter(|task| task.stack == name.stack && task.service == name.name)
        .map(|task| {
            let state = records::get::<TaskStateRecord>(store, &keys::task_state(task.id)).map(|state| state.value);
            (task, state)
        })
        .collect();
    let nodes: Vec<NodeRecord> = records::nodes(store);
    let tasks: Vec<_> = tasks.iter().map(|(task, state)| (task, state.as_ref())).collect();
    Some(ServiceSummary::new(&service, group.as_ref(), &tasks, &nodes.iter().collect::<Vec<_>>()))
}
