//! Random courses of events: whatever happens, what is promised holds, and it ends.

use std::collections::{BTreeMap, BTreeSet};

use super::harness::{Cluster, EVERY_NODE, Fault, TICK, good, spec};
use crate::cluster::workloads::requests;
use crate::records::{Copies, DeploymentState, Goal, NodeRecord, ServiceSpec, TaskRecord, TaskState};

/// Always the same numbers for a seed (the generator of Lehmer, with the constants of `minstd_rand`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0 * 48_271 % 2_147_483_647;
        self.0 % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

const NODES: u64 = 4;
/// Ticks with events, and longer ones without, in which everything has to come to rest.
const COURSE: usize = 120;
const REST: usize = 120;

/// One course.
struct Course {
    cluster: Cluster,
    numbers: Numbers,
    seed: u64,
    /// Nodes may fail, and versions be bad.
    faults: bool,
    version: u64,
    drained: BTreeSet<u64>,
    /// Nodes that are removed when their tasks are gone.
    leaving: BTreeSet<u64>,
    /// The least number of copies of `web` since the last time that it was at rest with them.
    promised: Option<usize>,
}

impl Course {
    fn new(seed: u64, faults: bool) -> Self {
        // Small seeds give small first numbers.
        let mut numbers = Numbers(seed + 1);
        for _ in 0..10 {
            numbers.below(2);
        }
        let cluster = Cluster::new(NODES);
        Self {
            cluster,
            numbers,
            seed,
            faults,
            version: 0,
            drained: BTreeSet::new(),
            leaving: BTreeSet::new(),
            promised: None,
        }
    }

    fn fail(&self, what: &str) -> ! {
        panic!("seed {}, faults {}: {what}\n{}", self.seed, self.faults, self.cluster.describe())
    }

    fn version(&mut self) -> ServiceSpec {
        self.version += 1;
        let behaviour = match self.numbers.below(8) {
            0 if self.faults => "crash",
            1 if self.faults => "sick",
            2 if self.faults => "loop",
            _ => "good",
        };
        let mut spec = spec(&self.version.to_string(), behaviour);
        spec.update.batch = 1 + u32::try_from(self.numbers.below(2)).unwrap();
        // Without faults nothing is as slow as that.
        spec.update.limit_ms = if self.faults { 15_000 } else { 120_000 };
        spec
    }

    fn copies(&mut self) -> u32 {
        1 + u32::try_from(self.numbers.below(4)).unwrap()
    }

    fn deploy(&mut self) {
        let (web, copies) = (self.version(), self.copies());
        let mut services = vec![("web", web, copies)];
        if self.numbers.one_in(2) {
            let one = ServiceSpec { singleton: true, ..good(&self.numbers.below(3).to_string()) };
            services.push(("one", one, 1));
        }
        if self.numbers.one_in(2) {
            services.push(("log", good(&self.numbers.below(3).to_string()), EVERY_NODE));
        }
        self.cluster.deploy("shop", &services);
    }

    fn event(&mut self) {
        let has_stack = self.cluster.records().stacks.values().next().is_some();
        // A refused request changes nothing.
        match self.numbers.below(16) {
            0..=2 => self.deploy(),
            3 if has_stack => {
                let copies = self.copies();
                drop(self.cluster.request(|draft| requests::scale(draft, "shop", "web", copies)));
            }
            4 if has_stack => {
                let service = *self.numbers.of(&["", "web", "one"]);
                drop(self.cluster.request(|draft| requests::restart(draft, "shop", service)));
            }
            5 if has_stack => drop(self.cluster.request(|draft| requests::rollback(draft, "shop", 0))),
            6 if has_stack && self.faults => {
                let service = *self.numbers.of(&["web", "one", "log"]);
                drop(self.cluster.request(|draft| requests::stop(draft, "shop", service)));
            }
            7 if has_stack && self.faults && self.numbers.one_in(4) => {
                self.cluster.request(|draft| requests::remove(draft, "shop")).unwrap();
            }
            8 | 9 => {
                let node = *self.numbers.of(&self.nodes());
                let drained = !self.drained.remove(&node);
                if !drained || (self.has_spare() && !self.leaving.contains(&node)) {
                    drained.then(|| self.drained.insert(node));
                    self.cluster.request(|draft| requests::drain(draft, node, drained)).unwrap();
                }
            }
            10 if self.faults && self.cluster.faults.len() < 2 => {
                let node = *self.numbers.of(&self.nodes());
                self.cluster.cut(node, *self.numbers.of(&[Fault::Dead, Fault::CutOff]));
            }
            11 | 12 => {
                let node = self.cluster.faults.keys().next().copied();
                node.into_iter().for_each(|node| self.cluster.mend(node));
            }
            13 if self.faults => self.end_a_task(),
            14 if self.nodes().len() < 6 => {
                let newest = self.cluster.removed.keys().next_back().max(self.nodes().last()).copied();
                self.cluster.add_node(newest.unwrap() + 1);
            }
            15 if self.nodes().len() > 3 => self.remove_a_node(),
            _ => {}
        }
    }

    fn nodes(&self) -> Vec<u64> {
        self.cluster.records().nodes.values().map(|node| node.id).collect()
    }

    /// Two nodes have space for everything, and one more may have no tasks.
    fn has_spare(&self) -> bool {
        self.nodes().len() > 2 + self.drained.union(&self.leaving).count()
    }

    /// At once, or when its tasks have moved.
    fn remove_a_node(&mut self) {
        let node = *self.numbers.of(&self.nodes());
        if self.faults && self.numbers.one_in(2) {
            self.forget_node(node);
        } else if self.drained.contains(&node) || self.has_spare() {
            let record = self.cluster.records().nodes.get(&node).cloned().unwrap();
            let record = NodeRecord { leaving: true, ..record };
            self.cluster.store.put(&crate::records::keys::node(node), &record);
            self.leaving.insert(node);
        }
    }

    fn forget_node(&mut self, node: u64) {
        self.cluster.remove_node(node);
        self.drained.remove(&node);
        self.leaving.remove(&node);
    }

    fn remove_empty_nodes(&mut self) {
        let tasks = self.cluster.tasks();
        let is_gone = |id: u64| self.cluster.state(id).is_some_and(|state| state.gone);
        let busy: BTreeSet<u64> = tasks.iter().filter(|task| !is_gone(task.id)).map(|task| task.node).collect();
        for node in self.leaving.difference(&busy).copied().collect::<Vec<_>>() {
            self.forget_node(node);
        }
    }

    /// A task ends by itself, and its node gives it up.
    fn end_a_task(&mut self) {
        let running = self.cluster.endpoints("web");
        let here = |task: &&TaskRecord| !self.cluster.faults.contains_key(&task.node);
        let Some(task) = running.iter().find(here) else { return };
        let mut state = self.cluster.state(task.id).unwrap();
        (state.state, state.healthy, state.gone, state.exit_code) = (TaskState::Failed, false, true, Some(9));
        self.cluster.store.put(&crate::records::keys::task_state(task.id), &state);
        self.cluster.processes.remove(&task.id);
    }

    /// Everything once, in the order of a real cluster: the leader at any time, nodes at any time.
    fn tick(&mut self) {
        if self.faults && self.numbers.one_in(6) {
            // A new leader takes over from one that was interrupted.
            let count = usize::try_from(self.numbers.below(6)).unwrap();
            self.cluster.interrupted_after = Some(count);
            self.cluster.pass();
            self.cluster.interrupted_after = None;
            self.check();
            self.cluster.leads_since = self.cluster.ms;
            self.cluster.is_new = true;
        } else if self.numbers.one_in(12) {
            self.cluster.leads_since = self.cluster.ms;
            self.cluster.is_new = true;
        }
        self.remove_empty_nodes();
        let mut passes = 0;
        loop {
            if self.faults && self.cluster.returns.is_none() && self.numbers.one_in(20) {
                self.cluster.returns = self.cluster.faults.keys().next().copied();
            }
            if !self.cluster.pass() {
                // Nodes report one after the other.
                if !std::mem::take(&mut self.cluster.is_new) {
                    break;
                }
            }
            self.check();
            passes += 1;
            if passes > 50 {
                self.fail("the leader never rests");
            }
        }
        let mut chances = Numbers(1 + self.numbers.below(1_000_000));
        self.cluster.act(|_, _| !chances.one_in(3));
        self.check();
        self.cluster.ms += TICK;
    }

    /// What holds at any time.
    fn check(&mut self) {
        let tasks = self.cluster.tasks();
        let mut numbers = BTreeMap::new();
        let is_gone = |task: &TaskRecord| {
            self.cluster.removed.contains_key(&task.node) || self.cluster.state(task.id).is_some_and(|state| state.gone)
        };
        for task in tasks.iter().filter(|task| !is_gone(task)) {
            if let Some(other) = numbers.insert((task.group, task.index), task.id) {
                self.fail(&format!("tasks {other} and {} have one number", task.id));
            }
        }
        let one = |id: &u64| tasks.iter().any(|task| task.id == *id && task.service == "one");
        if self.cluster.processes.keys().filter(|id| one(id)).count() > 1 {
            self.fail("two of a singleton run");
        }
        let running = self.cluster.records().deployments.clone();
        if running.values().filter(|record| record.state == DeploymentState::Running).count() > 1 {
            self.fail("two deployments of a stack run");
        }
        self.check_endpoints();
    }

    /// Without faults no update, restart, rollback or drain takes an endpoint away that is needed.
    fn check_endpoints(&mut self) {
        if self.faults {
            return;
        }
        let found = self.cluster.service("shop", "web").filter(|service| !service.removed);
        let Some(service) = found else {
            self.promised = None;
            return;
        };
        let Copies::Number(copies) = service.copies else { return };
        let (copies, healthy) = (usize::try_from(copies).unwrap(), self.cluster.endpoints("web").len());
        // More copies are promised once they were there.
        if healthy >= copies && service.rollout.is_none() {
            self.promised = Some(copies);
        }
        self.promised = self.promised.map(|promised| promised.min(copies));
        if let Some(promised) = self.promised
            && healthy < promised
        {
            self.fail(&format!("{healthy} of {promised} endpoints are healthy"));
        }
    }

    fn run(&mut self) {
        for _ in 0..COURSE {
            if self.numbers.one_in(5) {
                self.event();
            }
            self.tick();
        }
        self.cluster.faults.clear();
        for node in std::mem::take(&mut self.drained) {
            self.cluster.request(|draft| requests::drain(draft, node, false)).unwrap();
        }
        for _ in 0..REST {
            self.tick();
            self.cluster.ms += TICK * 3;
        }
        self.check_rest();
        // In the end nothing is left.
        if self.cluster.records().stacks.values().next().is_some() {
            self.cluster.request(|draft| requests::remove(draft, "shop")).unwrap();
        }
        (0..60).for_each(|_| self.tick());
        let cluster = &self.cluster;
        let left = cluster.tasks().len()
            + cluster.records().states.values().count()
            + cluster.records().groups.values().count()
            + cluster.records().services.values().count()
            + cluster.records().stacks.values().count();
        if left + cluster.processes.len() > 0 {
            self.fail("something is left of a removed stack");
        }
    }

    /// After all faults: every service has what it shall have, and every record belongs to something.
    fn check_rest(&self) {
        let (services, groups) = (self.cluster.records().services.clone(), self.cluster.records().groups.clone());
        let deployments = self.cluster.records().deployments.clone();
        if deployments.values().any(|record| record.state == DeploymentState::Running) {
            self.fail("a deployment does not end");
        }
        let tasks = self.cluster.tasks();
        for service in services.values() {
            if service.rollout.is_some() || service.removed {
                self.fail(&format!("`{}` does not come to rest", service.name));
            }
            let expected = match service.copies {
                _ if service.stopped || service.settled.is_none() => 0,
                Copies::Number(count) => usize::try_from(count).unwrap(),
                Copies::EveryNode => self.nodes().len(),
            };
            let behaviour = groups.get(&service.group).map(|group| group.spec.labels["behaviour"].clone());
            let endpoints = self.cluster.endpoints(&service.name);
            if behaviour.as_deref() != Some("good") && expected > 0 {
                self.fail(&format!("`{}` came to rest with a bad version", service.name));
            }
            if endpoints.len() != expected || endpoints.iter().any(|task| task.group != service.group) {
                self.fail(&format!("`{}` has {} of {expected} endpoints", service.name, endpoints.len()));
            }
        }
        let service_of = |task: &TaskRecord| services.get(&(task.stack.clone(), task.service.clone()));
        for task in &tasks {
            let gone = self.cluster.state(task.id).is_some_and(|state| state.gone);
            if (service_of(task).is_none() && !gone) || groups.get(&task.group).is_none() {
                self.fail(&format!("task {} belongs to nothing", task.id));
            }
            if task.goal != Goal::Run && !gone {
                self.fail(&format!("task {} does not end", task.id));
            }
        }
        if self.cluster.processes.keys().any(|id| tasks.iter().all(|task| task.id != *id)) {
            self.fail("a process belongs to no task");
        }
    }
}

/// `DISCO_TEST_SEEDS=2000-5000` for a longer search.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let text = std::env::var("DISCO_TEST_SEEDS").unwrap_or_default();
    let range = text.split_once('-').and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    range.unwrap_or(0..count)
}

#[test]
fn whatever_is_requested_no_endpoint_is_missing_and_it_ends() {
    seeds(100).for_each(|seed| Course::new(seed, false).run());
}

#[test]
fn whatever_fails_no_singleton_runs_twice_and_it_ends() {
    seeds(150).for_each(|seed| Course::new(seed, true).run());
}
