//! A small cluster for tests: the records in a store in memory, nodes that start and end what tasks ask for, and a clock.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use disco_planner::placement::Presence;
use disco_store::Store;
use futures_util::FutureExt;

use super::ages::Ages;
use super::plan::{Planned, plan};
use super::seen::{Seen, SeenNode};
use super::specs::behaviour;
pub(in crate::controllers) use super::specs::{EVERY_NODE, depending, good, large, spec};
use crate::cluster::Result;
use crate::cluster::workloads::draft::{Draft, Moment};
use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::versions::{self, Target, Version};
use crate::cluster::workloads::{fence, write};
use crate::raft::Pace;
use crate::records::{
    CapacityRecord, Copies, DeploymentRecord, DeploymentState, EventRecord, FakeRecords, Goal, NodeRecord, Records,
    ServiceRecord, ServiceSpec, TaskRecord, TaskState, TaskStateRecord, Txn, keys, list,
};

/// Between two looks of everything.
pub(in crate::controllers) const TICK: i64 = 500;
const PACE: Pace = Pace::Fast;

/// What a node does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controllers) enum Fault {
    /// Its machine is off: nothing runs there.
    Dead,
    /// Nobody hears it, and it hears nobody; what runs there goes on.
    CutOff,
}

/// A cluster.
pub(in crate::controllers) struct Cluster {
    pub store: FakeRecords,
    pub ms: i64,
    pub faults: BTreeMap<u64, (Fault, i64)>,
    /// Nodes that were removed, and when.
    pub removed: BTreeMap<u64, i64>,
    /// Processes that run, by their task.
    pub processes: BTreeMap<u64, u64>,
    /// Since when this leader leads.
    pub leads_since: i64,
    /// It has heard no node yet.
    pub is_new: bool,
    /// What its own clock says.
    pub ages: Ages,
    /// The leader is interrupted after this number of changes.
    pub interrupted_after: Option<usize>,
    /// This node returns, and begins again, after the leader has looked and before it writes.
    pub returns: Option<u64>,
    read: RefCell<Rc<Workloads>>,
    /// The last plan had nothing to do: at this revision, until then, with these nodes.
    idle: Option<(i64, i64, BTreeMap<u64, Presence>)>,
}

impl Cluster {
    /// Nodes from 1, each with two processors.
    pub fn new(nodes: u64) -> Self {
        let cluster = Self {
            store: FakeRecords::default(),
            ms: 1_700_000_000_000,
            faults: BTreeMap::new(),
            removed: BTreeMap::new(),
            processes: BTreeMap::new(),
            leads_since: 0,
            is_new: false,
            ages: Ages::default(),
            interrupted_after: None,
            returns: None,
            read: RefCell::default(),
            idle: None,
        };
        (1..=nodes).for_each(|id| cluster.add_node(id));
        cluster
    }

    pub fn add_node(&self, id: u64) {
        self.store.put(&keys::node(id), &NodeRecord { id, name: format!("n{id}"), ..NodeRecord::default() });
        let drivers = vec!["process".to_owned()];
        let capacity = CapacityRecord { cpu_millis: 2_000, memory: 1_000, drivers, not_limited: Vec::new() };
        self.store.put(&keys::capacity(id), &capacity);
    }

    /// Deletes the node's record, as the end of its removal does.
    pub fn remove_node(&mut self, id: u64) {
        self.delete(&keys::node(id));
        self.faults.remove(&id);
        self.removed.insert(id, self.ms);
        let records = self.records();
        // Nobody reaches it to end a singleton before its lease is over.
        let singleton = |id: &u64| {
            let group = records.tasks.get(id).and_then(|task| records.groups.get(&task.group));
            group.is_some_and(|group| group.spec.singleton)
        };
        self.processes.retain(|task, node| *node != id || singleton(task));
    }

    pub fn delete(&self, key: &str) {
        let written = self.store.write(Txn::new().delete(key).operation()).now_or_never();
        written.expect("a store in memory answers at once").expect("it accepts every write");
    }

    fn now(&self) -> Moment {
        let text = jiff::Timestamp::from_millisecond(self.ms).unwrap().to_string();
        Moment { ms: self.ms, text, leader: 1, term: 1 }
    }

    pub fn seen(&self, records: &Workloads) -> Seen {
        let node = |id: &u64| {
            let since = self.faults.get(id).map(|(_, since)| (*since).max(self.leads_since));
            let silent = u64::try_from(since.map_or(0, |since| self.ms - since)).unwrap();
            let silent_for = Duration::from_millis(silent);
            let presence = match silent_for {
                silent if silent >= fence::lost_after(PACE) => Presence::Lost,
                silent if silent > PACE.suspect_after() || self.is_new => Presence::Silent,
                _ => Presence::Here,
            };
            (*id, SeenNode { presence, silent_for })
        };
        let nodes = records.nodes.ids().map(|id| node(&id)).collect();
        Seen {
            now: self.now(),
            nodes,
            over_after: fence::over_after(PACE),
            ages: self.ages.clone(),
            preferred: BTreeMap::new(),
        }
    }

    /// The records now.
    pub fn records(&self) -> Rc<Workloads> {
        let mut read = self.read.borrow_mut();
        Rc::make_mut(&mut read).follow(&self.store);
        Rc::clone(&read)
    }

    /// A request of an operator.
    pub fn request<T>(&mut self, request: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        let before = self.records();
        let mut draft = Draft::new((*before).clone(), self.now());
        let answer = request(&mut draft)?;
        assert!(self.commit(draft.records.changes_since(&before), draft.news));
        Ok(answer)
    }

    /// Deploys these services; returns the deployment.
    pub fn deploy(&mut self, stack: &str, services: &[(&str, ServiceSpec, u32)]) -> u64 {
        let target = |(name, spec, count): &(&str, ServiceSpec, u32)| {
            let hash = serde_json::to_string(spec).unwrap();
            let copies = if *count == EVERY_NODE { Copies::EveryNode } else { Copies::Number(*count) };
            ((*name).to_owned(), Target { copies, version: Version::New { hash, spec: Box::new(spec.clone()) } })
        };
        let targets = services.iter().map(target).collect();
        self.request(|draft| versions::carry_out(draft, stack, targets, "deploy")).unwrap().0
    }

    fn commit(&self, changes: Vec<write::Change>, news: Vec<write::News>) -> bool {
        let written = write::commit(&self.store, changes, news).now_or_never();
        written.expect("a store in memory answers at once").expect("it accepts every write")
    }

    /// The deployment's state.
    pub fn runs(&self, deployment: u64) -> bool {
        self.records().deployments.get(&deployment).is_some_and(|record| record.state == DeploymentState::Running)
    }

    /// One plan, carried out. False if nothing was missing.
    pub fn pass(&mut self) -> bool {
        let records = self.records();
        let seen = self.seen(&records);
        let (revision, presences) = (self.store.read(Store::revision), seen.presences());
        // As the controller: it looks again only if something has changed, or when the plan says so.
        let is_idle =
            |(at, until, seen): &(i64, i64, BTreeMap<_, _>)| *at == revision && self.ms < *until && *seen == presences;
        if self.idle.as_ref().is_some_and(is_idle) {
            return false;
        }
        let Planned { draft, due, .. } = plan(&records, &seen);
        let mut changes = draft.records.changes_since(&records);
        if changes.is_empty() {
            let due = due.and_then(|due| i64::try_from(due).ok());
            self.idle = Some((revision, due.map_or(i64::MAX, |due| self.ms.saturating_add(due)), presences));
            return false;
        }
        if let Some(node) = self.returns.take() {
            self.mend(node);
            self.act(|_, task| task.node == node);
        }
        let mut news = draft.news;
        if let Some(count) = self.interrupted_after.take() {
            changes.truncate(count);
            news.retain(|news| changes.iter().any(|change| change.key == news.key));
        }
        assert!(self.commit(changes, news), "nobody else writes");
        true
    }

    /// Passes until nothing is missing, then every node acts once, and time goes on.
    pub fn tick(&mut self) {
        let mut passes = 0;
        while self.pass() {
            passes += 1;
            assert!(passes < 50, "it never rests: {}", self.describe());
        }
        self.act(|_, _| true);
        self.ms += TICK;
    }

    pub fn ticks(&mut self, count: usize) {
        (0..count).for_each(|_| self.tick());
    }

    /// Until the deployment has ended.
    pub fn end_of(&mut self, deployment: u64) -> DeploymentRecord {
        for _ in 0..2_000 {
            let record: DeploymentRecord = self.store.get(&keys::deployment(deployment)).unwrap();
            if record.state != DeploymentState::Running {
                return record;
            }
            self.tick();
        }
        panic!("deployment {deployment} does not end: {}", self.describe());
    }

    /// Nodes do what is asked of them. `moves`: whether a task gets a step further now.
    pub fn act(&mut self, mut moves: impl FnMut(&Self, &TaskRecord) -> bool) {
        let tasks = self.tasks();
        let known: BTreeSet<u64> = tasks.iter().map(|task| task.id).collect();
        let faults = self.faults.clone();
        let over = i64::try_from((fence::lease(PACE) + Duration::from_secs(2)).as_millis()).unwrap();
        let (now, removed) = (self.ms, self.removed.clone());
        self.processes.retain(|task, node| match removed.get(node) {
            Some(since) => now - since < over,
            None => faults.contains_key(node) || known.contains(task),
        });
        let records = self.records();
        for task in tasks {
            let singleton = records.groups.get(&task.group).is_some_and(|group| group.spec.singleton);
            match faults.get(&task.node) {
                Some((Fault::Dead, _)) => drop(self.processes.remove(&task.id)),
                // The shim ends it.
                Some((Fault::CutOff, since)) if singleton && self.ms - since >= over => {
                    self.processes.remove(&task.id);
                }
                Some(_) => {}
                None => {
                    if records.nodes.get(&task.node).is_some() && moves(self, &task) {
                        self.act_on(&records, &task);
                    }
                }
            }
        }
    }

    fn act_on(&mut self, records: &Workloads, task: &TaskRecord) {
        let before = records.states.get(&task.id).cloned();
        let now = self.now().text;
        let mut state = before.clone().unwrap_or(TaskStateRecord::new(task.id, task.node, TaskState::Pending));
        if state.gone {
            return;
        }
        let behaviour = records.groups.get(&task.group).map_or("good", |group| behaviour(&group.spec));
        let runs = self.processes.contains_key(&task.id);
        let end = |state: &mut TaskStateRecord, how, code, reason: &str| {
            (state.state, state.healthy, state.healthy_since, state.gone) = (how, false, None, true);
            (state.exit_code, state.finished_at, state.reason) = (code, Some(now.clone()), reason.to_owned());
        };
        // Changed files, unless it cannot get them.
        if state.state == TaskState::Starting || state.state == TaskState::Running && behaviour != "stale" {
            state.applied = task.group;
        }
        match (task.goal, state.state) {
            (Goal::Stop, _) => {
                self.processes.remove(&task.id);
                end(&mut state, TaskState::Stopped, None, "stopped");
            }
            (_, TaskState::Running) if behaviour == "crash" => {
                self.processes.remove(&task.id);
                end(&mut state, TaskState::Failed, Some(1), "exit code 1");
            }
            (_, TaskState::Running) if behaviour == "job" => {
                self.processes.remove(&task.id);
                end(&mut state, TaskState::Stopped, Some(0), "");
            }
            (_, TaskState::Running) if behaviour == "loop" => {
                (state.restarts, state.reason) = (state.restarts + 1, "exit code 2".to_owned());
            }
            (_, TaskState::Running) if behaviour == "sick" => "GET /healthy: 503".clone_into(&mut state.reason),
            // It was off, and begins again.
            (_, TaskState::Running) if !runs => {
                self.processes.insert(task.id, task.node);
                (state.healthy, state.healthy_since) = (false, None);
            }
            (_, TaskState::Running) if !state.healthy => (state.healthy, state.healthy_since) = (true, Some(now)),
            (_, TaskState::Pending) if behaviour == "refused" => {
                end(&mut state, TaskState::Failed, None, "port 20000 is in use");
                state.refused = true;
            }
            (_, TaskState::Pending) => state.state = TaskState::Starting,
            // Nor does one that starts get them.
            (_, TaskState::Starting) if behaviour == "stale" && task.group > 1 => {}
            (_, TaskState::Starting) => {
                (state.state, state.started_at) = (TaskState::Running, Some(now));
                self.processes.insert(task.id, task.node);
            }
            _ => {}
        }
        if before.as_ref() != Some(&state) {
            self.store.put(&keys::task_state(task.id), &state);
        }
    }

    pub fn tasks(&self) -> Vec<TaskRecord> {
        self.records().tasks.values().cloned().collect()
    }

    pub fn state(&self, task: u64) -> Option<TaskStateRecord> {
        self.records().states.get(&task).cloned()
    }

    pub fn service(&self, stack: &str, name: &str) -> Option<ServiceRecord> {
        self.records().services.get(&(stack.to_owned(), name.to_owned())).cloned()
    }

    /// Tasks of a service that are healthy endpoints.
    pub fn endpoints(&self, service: &str) -> Vec<TaskRecord> {
        let healthy = |task: &TaskRecord| {
            let state = self.state(task.id);
            state.is_some_and(|state| state.healthy) && self.processes.contains_key(&task.id)
        };
        let mut tasks = self.tasks();
        tasks.retain(|task| task.service == service && task.goal == Goal::Run && healthy(task));
        tasks
    }

    /// The deployments that made the versions of a service's endpoints.
    pub fn versions(&self, service: &str) -> Vec<u64> {
        let groups = self.records().groups.clone();
        let of = |task: TaskRecord| groups.get(&task.group).unwrap().deployment;
        let mut versions: Vec<u64> = self.endpoints(service).into_iter().map(of).collect();
        versions.sort_unstable();
        versions
    }

    pub fn nodes_of(&self, service: &str) -> Vec<u64> {
        let mut nodes: Vec<u64> = self.endpoints(service).into_iter().map(|task| task.node).collect();
        nodes.sort_unstable();
        nodes
    }

    /// Kinds of all events.
    pub fn events(&self) -> Vec<String> {
        let events = self.store.read(|store| list::<EventRecord>(store, keys::EVENTS));
        events.into_iter().map(|event| event.value.kind).collect()
    }

    pub fn cut(&mut self, node: u64, fault: Fault) {
        self.faults.entry(node).or_insert((fault, self.ms));
    }

    pub fn mend(&mut self, node: u64) {
        self.faults.remove(&node);
    }

    /// For the message of a failed test.
    pub fn describe(&self) -> String {
        let task = |task: TaskRecord| {
            let state = self.state(task.id).map(|state| (state.state, state.healthy, state.gone));
            format!(
                "task {} of {} {} #{} on {}: {:?} ({}), {state:?}",
                task.id, task.service, task.group, task.index, task.node, task.goal, task.why
            )
        };
        let tasks: Vec<String> = self.tasks().into_iter().map(task).collect();
        let services: Vec<String> = self.records().services.values().map(|service| format!("{service:?}")).collect();
        format!("at {}, faults {:?}:\n{}\n{}", self.ms, self.faults, services.join("\n"), tasks.join("\n"))
    }
}
