//! A service in one object: what clients and scripts see of its records.

use serde::Serialize;

use super::{Copies, Goal, GroupRecord, NodeRecord, PortSpec, ServiceRecord, TaskRecord, TaskState, TaskStateRecord};

/// A service with its endpoints. Fields are added, never renamed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceSummary {
    /// The stack.
    pub stack: String,
    /// Its name in the stack.
    pub name: String,
    /// What runs its tasks; absent until its version is known.
    pub driver: Option<String>,
    /// Copies that it shall have.
    pub desired: u64,
    /// Tasks that run, and shall.
    pub running: u64,
    /// Those of them that are healthy.
    pub healthy: u64,
    /// The deployment that made its version.
    pub deployment: Option<u64>,
    /// `complete`, `changing`, `going back`, `not placed`, `stopped`, `removing`.
    pub state: &'static str,
    /// What its update waits for.
    pub waits_for: Option<String>,
    /// Why a task has no node, per node.
    pub unplaced: Option<String>,
    /// Why its new version failed.
    pub failed: Option<String>,
    /// The stable address; no node relays one yet.
    pub address: Option<String>,
    /// Its ports.
    pub ports: Vec<PortSummary>,
    /// Where its tasks are reached.
    pub endpoints: Vec<EndpointSummary>,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortSummary {
    /// A number, or a range as text.
    pub published: serde_json::Value,
    /// The number in the stack file.
    pub target: u16,
    /// `tcp` or `udp`.
    pub proto: String,
    /// `host` or `ingress`.
    pub mode: &'static str,
}

/// Where a task is reached. Clients use those that are healthy and not draining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointSummary {
    /// The task.
    pub task: u64,
    /// Its node.
    pub node: u64,
    /// IP address.
    pub address: String,
    /// The number on the node.
    pub port: u16,
    /// The number in the stack file.
    pub target: u16,
    /// `tcp` or `udp`.
    pub proto: String,
    /// The task is healthy.
    pub healthy: bool,
    /// The task is about to end.
    pub draining: bool,
}

impl ServiceSummary {
    /// From the service's records. `tasks`: all of the service, each with what its node says of it.
    #[must_use]
    pub fn new(
        service: &ServiceRecord,
        group: Option<&GroupRecord>,
        tasks: &[(&TaskRecord, Option<&TaskStateRecord>)],
        nodes: &[&NodeRecord],
    ) -> Self {
        let running = || tasks.iter().filter(|(task, state)| task.goal == Goal::Run && runs(*state));
        let rollout = service.rollout.as_ref();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let wanted =
            tasks.iter().filter(|(task, state)| task.goal == Goal::Run && !state.is_some_and(|state| state.gone));
        Self {
            stack: service.stack.clone(),
            name: service.name.clone(),
            driver: group.map(|group| group.spec.driver.clone()),
            desired: desired(service, group, wanted.count() as u64, nodes),
            running: running().count() as u64,
            healthy: running().filter(|(_, state)| state.is_some_and(|state| state.healthy)).count() as u64,
            deployment: group.map(|group| group.deployment),
            state: state(service),
            waits_for: rollout.and_then(|rollout| some(&rollout.waits_for)),
            unplaced: some(&service.unplaced),
            failed: rollout.and_then(|rollout| rollout.failed.clone()),
            address: None,
            ports: group.map(|group| group.spec.ports.iter().map(port).collect()).unwrap_or_default(),
            endpoints: tasks.iter().flat_map(|(task, state)| endpoints(task, *state)).collect(),
        }
    }

    /// It has all its copies, all of them healthy, and nothing of it changes.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == "complete" && self.healthy >= self.desired
    }
}

/// How many copies a service shall have now.
fn desired(service: &ServiceRecord, group: Option<&GroupRecord>, wanted: u64, nodes: &[&NodeRecord]) -> u64 {
    match service.copies {
        _ if service.stopped || service.removed => 0,
        Copies::Number(count) => u64::from(count),
        Copies::EveryNode if group.is_none_or(|group| group.spec.constraints.is_empty()) => {
            nodes.iter().filter(|node| !node.drained).count() as u64
        }
        // Only the cluster knows which nodes meet the constraints.
        Copies::EveryNode => wanted,
    }
}

fn state(service: &ServiceRecord) -> &'static str {
    match &service.rollout {
        _ if service.removed => "removing",
        _ if service.stopped => "stopped",
        Some(rollout) if rollout.failed.is_some() => "going back",
        Some(_) => "changing",
        None if !service.unplaced.is_empty() => "not placed",
        None => "complete",
    }
}

fn runs(state: Option<&TaskStateRecord>) -> bool {
    state.is_some_and(|state| state.state == TaskState::Running && !state.gone)
}

fn port(port: &PortSpec) -> PortSummary {
    let published = match port.published {
        None => serde_json::Value::Null,
        Some((first, last)) if first == last => first.into(),
        Some((first, last)) => format!("{first}-{last}").into(),
    };
    let mode = if port.host { "host" } else { "ingress" };
    PortSummary { published, target: port.target, proto: port.protocol.clone(), mode }
}

/// Of a task that runs, also of one that is about to end.
fn endpoints(task: &TaskRecord, state: Option<&TaskStateRecord>) -> Vec<EndpointSummary> {
    let Some(state) = state.filter(|state| runs(Some(*state)) && !state.address.is_empty()) else { return Vec::new() };
    let ports = task.ports.iter().map(|port| EndpointSummary {
        task: task.id,
        node: task.node,
        address: state.address.clone(),
        port: port.number,
        target: port.target,
        proto: port.protocol.clone(),
        healthy: state.healthy,
        draining: task.goal != Goal::Run,
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(text: &str) -> ServiceRecord {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_service_is_complete_when_all_copies_are_healthy_and_nothing_changes() {
        let record = service(r#"{"stack":"shop","name":"web","copies":{"number":1},"group":1}"#);
        let task = r#"{"id":7,"stack":"shop","service":"web","group":1,"index":1,"node":2,"needs":{},"goal":"run","since":"",
            "ports":[{"target":80,"number":20001,"protocol":"tcp"}]}"#;
        let task: TaskRecord = serde_json::from_str(task).unwrap();
        let mut state = TaskStateRecord::new(7, 2, TaskState::Running);
        state.address = "10.0.0.2".to_owned();
        let summary = |state: &TaskStateRecord| ServiceSummary::new(&record, None, &[(&task, Some(state))], &[]);
        assert!(!summary(&state).is_complete());
        state.healthy = true;
        let complete = summary(&state);
        assert!(complete.is_complete(), "{complete:?}");
        assert_eq!((complete.endpoints[0].port, complete.endpoints[0].draining), (20001, false));
        let changing = service(
            r#"{"stack":"shop","name":"web","copies":{"number":1},"group":1,"rollout":{"deployment":1,"started_at":""}}"#,
        );
        assert!(!ServiceSummary::new(&changing, None, &[(&task, Some(&state))], &[]).is_complete());
    }
}
