//! What the cluster records about stacks, services and tasks.

use std::collections::BTreeMap;

use disco_store::typed::{
    Goal, GroupRecord, JobSpec, NodeRecord, RolloutRecord, ServiceRecord, ServiceSummary, StackRecord, TaskRecord,
    TaskState, TaskStateRecord, ValueKind,
    keys::{GROUPS, NODES, SERVICES, STACKS, TASK_STATES, TASKS},
};
use serde::de::DeserializeOwned;

use crate::{
    client::Client,
    error::{Failure, Outcome},
    project::remember_services,
};

/// The records, as they were read one kind after the other: a task may lack its state, a service its version.
#[derive(Default)]
pub(crate) struct Catalogue {
    /// By name.
    pub(crate) stacks: BTreeMap<String, StackRecord>,
    /// By stack and name.
    pub(crate) services: BTreeMap<(String, String), ServiceRecord>,
    /// By id.
    pub(crate) groups: BTreeMap<u64, GroupRecord>,
    /// In the order of stack, service and index.
    pub(crate) tasks: Vec<Task>,
    /// By id.
    pub(crate) nodes: BTreeMap<u64, NodeRecord>,
}

/// A task, and what its node says of it.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) record: TaskRecord,
    pub(crate) state: Option<TaskStateRecord>,
}

impl Catalogue {
    pub(crate) async fn load(client: &Client) -> Outcome<Self> {
        // Services before tasks: a task that is read belongs to a service that was read, or to one that is new.
        let stacks: Vec<StackRecord> = records(client, STACKS).await?;
        let services: Vec<ServiceRecord> = records(client, SERVICES).await?;
        let groups: Vec<GroupRecord> = records(client, GROUPS).await?;
        let tasks: Vec<TaskRecord> = records(client, TASKS).await?;
        let states: Vec<TaskStateRecord> = records(client, TASK_STATES).await?;
        let nodes: Vec<NodeRecord> = records(client, NODES).await?;
        let catalogue = Self::of(stacks, services, groups, tasks, states, nodes);
        let names = catalogue.services.keys().map(|(stack, service)| format!("{stack}/{service}"));
        remember_services(client.state(), &names.collect::<Vec<_>>());
        Ok(catalogue)
    }

    fn of(
        stacks: Vec<StackRecord>,
        services: Vec<ServiceRecord>,
        groups: Vec<GroupRecord>,
        tasks: Vec<TaskRecord>,
        states: Vec<TaskStateRecord>,
        nodes: Vec<NodeRecord>,
    ) -> Self {
        let mut states: BTreeMap<u64, TaskStateRecord> = states.into_iter().map(|state| (state.id, state)).collect();
        let mut tasks: Vec<Task> =
            tasks.into_iter().map(|record| Task { state: states.remove(&record.id), record }).collect();
        tasks.sort_by(|a, b| {
            let key = |task: &Task| {
                (task.record.stack.clone(), task.record.service.clone(), task.record.index, task.record.id)
            };
            key(a).cmp(&key(b))
        });
        Self {
            stacks: stacks.into_iter().map(|stack| (stack.name.clone(), stack)).collect(),
            services: services
                .into_iter()
                .map(|service| ((service.stack.clone(), service.name.clone()), service))
                .collect(),
            groups: groups.into_iter().map(|group| (group.id, group)).collect(),
            tasks,
            nodes: nodes.into_iter().map(|node| (node.id, node)).collect(),
        }
    }

    /// All tasks of a service, also those that are gone.
    pub(crate) fn tasks_of<'a>(&'a self, stack: &'a str, service: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks.iter().filter(move |task| task.record.stack == stack && task.record.service == service)
    }

    /// The deployment that made a task's version.
    pub(crate) fn deployment_of(&self, group: u64) -> Option<u64> {
        Some(self.groups.get(&group)?.deployment)
    }

    /// What makes a service a job, if it is one.
    pub(crate) fn job_of(&self, service: &ServiceRecord) -> Option<&JobSpec> {
        self.groups.get(&service.group)?.spec.job.as_ref()
    }

    /// The rollout of a task's service, if there is one.
    pub(crate) fn rollout_of(&self, task: &TaskRecord) -> Option<&RolloutRecord> {
        self.services.get(&(task.stack.clone(), task.service.clone()))?.rollout.as_ref()
    }

    /// How many copies a service shall have now.
    pub(crate) fn desired(&self, service: &ServiceRecord) -> u64 {
        self.summary(service).desired
    }

    /// A service in one object.
    pub(crate) fn summary(&self, service: &ServiceRecord) -> ServiceSummary {
        let tasks = self.tasks_of(&service.stack, &service.name).map(|task| (&task.record, task.state.as_ref()));
        let nodes: Vec<&NodeRecord> = self.nodes.values().collect();
        ServiceSummary::new(service, self.groups.get(&service.group), &tasks.collect::<Vec<_>>(), &nodes)
    }

    /// The services, each `STACK/SERVICE`, whose version now, or whose last complete one, uses a secret or config.
    pub(crate) fn users_of(&self, kind: ValueKind, name: &str) -> Vec<String> {
        let uses = |group: u64| {
            let group = self.groups.get(&group);
            group.is_some_and(|group| group.spec.values.iter().any(|used| used.kind == kind && used.name == name))
        };
        let services = self.services.values().filter(|service| {
            !service.removed && (uses(service.group) || service.settled.is_some_and(|settled| uses(settled.group)))
        });
        services.map(|service| format!("{}/{}", service.stack, service.name)).collect()
    }

    /// A node's name, or its id where it has none any more.
    pub(crate) fn node_name(&self, id: u64) -> String {
        self.nodes.get(&id).map_or_else(|| id.to_string(), |node| node.name.clone())
    }
}

impl Task {
    /// What it does, as its node says; or what it was asked.
    pub(crate) fn state(&self) -> TaskState {
        let state = self.state.as_ref().map_or(TaskState::Pending, |state| state.state);
        match (self.record.goal, state) {
            (Goal::Stop, TaskState::Running | TaskState::Starting) => TaskState::Stopping,
            _ => state,
        }
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.healthy && state.state == TaskState::Running)
    }

    /// It runs no more and never will again.
    pub(crate) fn is_gone(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.gone)
    }

    /// It was given up: it failed, or the node refused it.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.refused || state.state == TaskState::Failed)
    }

    /// Why it is as it is.
    pub(crate) fn reason(&self) -> &str {
        match &self.state {
            Some(state) if !state.reason.is_empty() => &state.reason,
            _ => &self.record.why,
        }
    }

    /// `STACK/SERVICE/INDEX`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}/{}", self.record.stack, self.record.service, self.record.index)
    }
}

/// The word of a state in JSON and in tables.
pub(crate) fn word(state: TaskState) -> &'static str {
    match state {
        TaskState::Pending => "pending",
        TaskState::Starting => "starting",
        TaskState::Running => "running",
        TaskState::Stopping => "stopping",
        TaskState::Stopped => "stopped",
        TaskState::Failed => "failed",
    }
}

pub(super) async fn records<T: DeserializeOwned>(client: &Client, prefix: &str) -> Outcome<Vec<T>> {
    client.under(prefix).await?.kvs.iter().map(decode).collect()
}

pub(super) fn decode<T: DeserializeOwned>(kv: &disco_proto::v1::KeyValue) -> Outcome<T> {
    serde_json::from_slice(&kv.value).map_err(|error| {
        let key = String::from_utf8_lossy(&kv.key);
        Failure::failed(format!("cannot read the record `{key}`"))
            .because(&error)
            .hint("the cluster may run another version of Disco: compare `disco --version` with `disco nodes`")
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A catalogue of records as the cluster writes them.
    pub(crate) fn catalogue(records: &serde_json::Value) -> Catalogue {
        fn list<T: DeserializeOwned>(value: &serde_json::Value) -> Vec<T> {
            match value {
                serde_json::Value::Null => Vec::new(),
                some => serde_json::from_value(some.clone()).unwrap(),
            }
        }
        Catalogue::of(
            list(&records["stacks"]),
            list(&records["services"]),
            list(&records["groups"]),
            list(&records["tasks"]),
            list(&records["states"]),
            list(&records["nodes"]),
        )
    }
}
