//! All records about workloads at one revision of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use disco_store::{History, SYSTEM_END, SYSTEM_PREFIX, Store};

use super::table::{Record, ServiceId, Table, json};
use super::write::Change;
use crate::records::{
    self, CapacityRecord, Copies, DeploymentRecord, DeploymentState, GroupRecord, JobRecord, JobRunRecord, NodeRecord,
    Records, ServiceRecord, StackRecord, TaskRecord, TaskStateRecord, ValueRecord, ValueVersionRecord, keys,
};

/// The first task's id. Smaller numbers mean nodes where one argument may name either.
const FIRST_TASK: u64 = 1_001;
/// Changes that are looked at one by one. After more of them all is read.
const MOST_EVENTS: usize = 256;
/// Where the records are.
const PREFIXES: [&str; 15] = [
    keys::STACKS,
    keys::SERVICES,
    keys::GROUPS,
    keys::TASKS,
    keys::TASK_STATES,
    keys::DEPLOYMENTS,
    keys::CAPACITIES,
    keys::NODES,
    keys::JOBS,
    keys::JOB_RUNS,
    keys::NEXT_GROUP,
    keys::NEXT_TASK,
    keys::VALUES,
    keys::VALUE_VERSIONS,
    keys::NEXT_VALUE,
];

/// All records about workloads. A change of the tables is written by [`commit`](super::write::commit).
#[derive(Clone, Default)]
pub struct Workloads {
    /// The store's revision.
    revision: i64,
    /// Stacks.
    pub stacks: Table<StackRecord>,
    /// Services.
    pub services: Table<ServiceRecord>,
    /// Versions of services.
    pub groups: Table<GroupRecord>,
    /// Tasks.
    pub tasks: Table<TaskRecord>,
    /// What nodes say of tasks.
    pub states: Table<TaskStateRecord>,
    /// Deployments, also those of the project's hook.
    pub deployments: Table<DeploymentRecord>,
    /// What nodes have for tasks.
    pub capacities: Table<CapacityRecord>,
    /// Nodes.
    pub nodes: Table<NodeRecord>,
    /// Jobs.
    pub jobs: Table<JobRecord>,
    /// Runs of jobs.
    pub runs: Table<JobRunRecord>,
    /// Names of secrets and configs.
    pub values: Table<ValueRecord>,
    /// Their versions.
    pub value_versions: Table<ValueVersionRecord>,
    next_group: Counter,
    next_task: Counter,
    next_value: Counter,
    /// The ids of each service's copies, also of some that were removed. Runs of jobs are not among them.
    by_service: Arc<BTreeMap<ServiceId, Vec<u64>>>,
}

/// The next number of its kind.
#[derive(Clone, Copy, Default)]
struct Counter {
    value: u64,
    revision: i64,
}

// === impl Workloads ===

impl Workloads {
    /// The records now.
    #[must_use]
    pub fn read(store: &Store) -> Self {
        Self::read_after(store, &Self::default())
    }

    fn read_after(store: &Store, before: &Self) -> Self {
        let tasks = Table::read(store, &before.tasks);
        let mut by_service: BTreeMap<ServiceId, Vec<u64>> = BTreeMap::new();
        for task in tasks.values().filter(|task| task.run.is_none()) {
            by_service.entry(service_of(task)).or_default().push(task.id);
        }
        Self {
            revision: store.revision(),
            stacks: Table::read(store, &before.stacks),
            services: Table::read(store, &before.services),
            groups: Table::read(store, &before.groups),
            tasks,
            by_service: Arc::new(by_service),
            states: Table::read(store, &before.states),
            deployments: Table::read(store, &before.deployments),
            capacities: Table::read(store, &before.capacities),
            nodes: Table::read(store, &before.nodes),
            jobs: Table::read(store, &before.jobs),
            runs: Table::read(store, &before.runs),
            next_group: Counter::read(store, keys::NEXT_GROUP, 1),
            next_task: Counter::read(store, keys::NEXT_TASK, FIRST_TASK),
            values: Table::read(store, &before.values),
            value_versions: Table::read(store, &before.value_versions),
            next_value: Counter::read(store, keys::NEXT_VALUE, 1),
        }
    }

    /// Reads what has changed since. Returns whether anything of these records has.
    pub fn follow(&mut self, records: &impl Records) -> bool {
        records.read(|store| {
            // Other clients may write thousands of times a second, and events and health are written all the time.
            let history = store.history(self.revision + 1, SYSTEM_PREFIX, SYSTEM_END, MOST_EVENTS);
            let changed = self.revision == 0 || history.is_ok_and(|history| concerns(&history, store.revision()));
            let compacted = self.revision + 1 < store.compact_revision();
            if changed || compacted {
                *self = Self::read_after(store, self);
            }
            self.revision = store.revision();
            changed || compacted
        })
    }

    /// What has to be written to come from `before` to this, in an order in which any first part of it is a state that the
    /// leader continues from.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.deployments.changes_since(&before.deployments, &mut changes);
        self.stacks.changes_since(&before.stacks, &mut changes);
        self.next_value.changes_since(before.next_value, keys::NEXT_VALUE, &mut changes);
        // A request writes all at once; the controller only deletes, and no name may stay without its version.
        self.values.changes_since(&before.values, &mut changes);
        self.value_versions.changes_since(&before.value_versions, &mut changes);
        self.next_group.changes_since(before.next_group, keys::NEXT_GROUP, &mut changes);
        self.groups.changes_since(&before.groups, &mut changes);
        self.services.changes_since(&before.services, &mut changes);
        self.nodes.changes_since(&before.nodes, &mut changes);
        self.jobs.changes_since(&before.jobs, &mut changes);
        self.runs.changes_since(&before.runs, &mut changes);
        self.next_task.changes_since(before.next_task, keys::NEXT_TASK, &mut changes);
        self.tasks.changes_since(&before.tasks, &mut changes);
        let own = changes.len();
        self.states.changes_since(&before.states, &mut changes);
        self.capacities.changes_since(&before.capacities, &mut changes);
        // Nodes write them at any time, and the leader only deletes them.
        for change in &mut changes[own..] {
            change.revision = None;
        }
        changes
    }

    /// The next group's id, which is used from now on.
    pub fn take_group(&mut self) -> u64 {
        self.next_group.take()
    }

    /// The number of the next version of a secret or config, which is used from now on.
    pub fn take_value(&mut self) -> u64 {
        self.next_value.take()
    }

    /// The next task's id, which is used from now on.
    pub fn take_task(&mut self) -> u64 {
        self.next_task.take()
    }

    /// The id that the next task will have.
    #[must_use]
    pub fn next_task(&self) -> u64 {
        self.next_task.value
    }

    /// The services of a stack.
    pub fn services_of(&self, stack: &str) -> impl Iterator<Item = &ServiceRecord> {
        self.services.values().filter(move |service| service.stack == stack)
    }

    /// The tasks of a service, without runs of a job.
    pub fn tasks_of(&self, id: &ServiceId) -> impl Iterator<Item = &TaskRecord> {
        self.by_service.get(id).into_iter().flatten().filter_map(|task| self.tasks.get(task))
    }

    /// Adds a task.
    pub fn add_task(&mut self, task: TaskRecord) {
        if task.run.is_none() {
            Arc::make_mut(&mut self.by_service).entry(service_of(&task)).or_default().push(task.id);
        }
        self.tasks.put(task.id, task);
    }

    /// The runs of a job, the oldest first.
    pub fn runs_of(&self, (stack, name): &ServiceId) -> impl DoubleEndedIterator<Item = &JobRunRecord> {
        let id = |number| (stack.clone(), name.clone(), number);
        self.runs.between(id(0), id(u64::MAX))
    }

    /// The deployment of a stack that runs.
    #[must_use]
    pub fn running(&self, stack: &str) -> Option<&DeploymentRecord> {
        let of = |record: &&DeploymentRecord| record.stack.as_deref() == Some(stack);
        self.deployments.values().rev().filter(of).find(|record| record.state == DeploymentState::Running)
    }

    /// Whether a service has its version and its number of copies.
    #[must_use]
    pub fn is_settled(service: &ServiceRecord) -> bool {
        let is = |copies: Copies| copies == service.copies;
        service.rollout.is_none()
            && service.settled.is_some_and(|settled| settled.group == service.group && is(settled.copies))
    }

    /// The names of nodes.
    #[must_use]
    pub fn node_names(&self) -> BTreeMap<u64, &str> {
        self.nodes.values().map(|node| (node.id, node.name.as_str())).collect()
    }
}

/// Whether one of the changes is of these records.
fn concerns(history: &History, newest: i64) -> bool {
    let mut events =
        history.revisions.iter().flat_map(|revision| &revision.events).filter_map(|event| event.kv.as_ref());
    history.next <= newest || events.any(|pair| PREFIXES.iter().any(|prefix| pair.key.starts_with(prefix.as_bytes())))
}

fn service_of(task: &TaskRecord) -> ServiceId {
    (task.stack.clone(), task.service.clone())
}

// === impl Counter ===

impl Counter {
    fn read(store: &Store, key: &str, first: u64) -> Self {
        let found = records::get::<u64>(store, key);
        found.map_or(Self { value: first, revision: 0 }, |found| Self { value: found.value, revision: found.revision })
    }

    fn take(&mut self) -> u64 {
        self.value += 1;
        self.value - 1
    }

    fn changes_since(self, before: Self, key: &str, changes: &mut Vec<Change>) {
        if self.value != before.value {
            let value = Some(json(&self.value));
            changes.push(Change { key: key.to_owned(), revision: Some(before.revision), value });
        }
    }
}

/// The key of a service's record.
#[must_use]
pub fn service_key(id: &ServiceId) -> String {
    ServiceRecord::key(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::FakeRecords;

    #[test]
    fn only_changes_of_these_records_are_followed() {
        let records = FakeRecords::default();
        records.put(&keys::node(1), &NodeRecord { id: 1, ..NodeRecord::default() });
        records.put(&keys::service("shop", "web"), &1_u64);
        let mut known = Workloads::default();
        assert!(known.follow(&records) && !known.follow(&records));
        assert_eq!((known.nodes.values().count(), known.services.values().count()), (1, 0), "one cannot be read");
        assert_eq!(known.clone().take_task(), 1_001);
        records.put("user", &1_u64);
        records.put(&keys::event(1), &1_u64);
        assert!(!known.follow(&records), "no other record");
        let kept = known.nodes.shared(&1);
        records.put(&keys::node(2), &NodeRecord { id: 2, ..NodeRecord::default() });
        assert!(known.follow(&records));
        assert_eq!(known.nodes.values().count(), 2);
        assert!(kept.zip(known.nodes.shared(&1)).is_some_and(|(a, b)| std::sync::Arc::ptr_eq(&a, &b)));
    }
}
