use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::choose::{Usages, least_missed, score};
use super::fit::{Reason, lasting, reasons};
use super::usage::Usage;
use super::view::{Copies, Group, Node, Port, Presence, State, Task};

/// What is missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// Tasks to start.
    pub start: Vec<Start>,
    /// Tasks to stop.
    pub stop: Vec<Stop>,
    /// Tasks for which there is no node.
    pub unplaced: Vec<Unplaced>,
}

/// A task to start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Start {
    /// Its group.
    pub group: u64,
    /// Its number in the group.
    pub index: u64,
    /// Where.
    pub node: u64,
    /// The ports that were chosen for it, as many as the group asks for.
    pub ports: Vec<Port>,
}

/// A task to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stop {
    /// Its id.
    pub task: u64,
    /// Why.
    pub why: Why,
}

/// Why a task is stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// No group with its id is wanted.
    NotWanted,
    /// There are more than wanted.
    TooMany,
    /// It ended, and another one takes its place.
    Failed,
    /// Its node is lost, and another one takes its place.
    NodeLost,
    /// Its node is drained, and enough others are healthy.
    NodeDrained,
    /// Its node does not match any more what the service asks for, and enough others are healthy.
    NodeUnfit,
}

/// A task for which there is no node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unplaced {
    /// Its group.
    pub group: u64,
    /// Its number in the group.
    pub index: u64,
    /// What is against it, for each node. Never empty for a node.
    pub reasons: BTreeMap<u64, Vec<Reason>>,
}

/// Every start and stop that is missing.
///
/// `nodes`, `groups` and `tasks` are in any order; ids are unique within each.
#[must_use]
pub fn plan(nodes: &[Node], groups: &[Group], tasks: &[Task]) -> Plan {
    let mut plan = Plan::default();
    let mut usages: Usages = nodes.iter().map(|node| (node.id, Usage::default())).collect();
    for task in tasks.iter().filter(|task| !task.gone) {
        if let Some(usage) = usages.get_mut(&task.node) {
            usage.hold(task.resources, &task.ports);
        }
    }
    let known: BTreeMap<u64, &Group> = groups.iter().map(|group| (group.id, group)).collect();
    let unwanted = tasks.iter().filter(|task| !task.stopping && !task.gone && !known.contains_key(&task.group));
    plan.stop.extend(unwanted.map(|task| Stop { task: task.id, why: Why::NotWanted }));

    let mut sorted: Vec<Division> = groups.iter().map(|group| Division::of(group, nodes, tasks)).collect();
    for division in &sorted {
        for task in &division.staying {
            if let Some(usage) = usages.get_mut(&task.node) {
                usage.count(&division.group.service);
            }
        }
    }
    // What is hard to place goes first: what is bound to few nodes, then what is large.
    sorted.sort_by_cached_key(|division| division.difficulty(nodes));
    for division in sorted {
        division.settle(nodes, &mut usages, &mut plan);
    }
    plan
}

/// Nodes on which a service of each node has a task, also those that do not report at the moment.
#[must_use]
pub fn meant(group: &Group, nodes: &[Node]) -> BTreeSet<u64> {
    nodes.iter().filter(|node| is_meant(group, node)).map(|node| node.id).collect()
}

fn is_meant(group: &Group, node: &Node) -> bool {
    node.presence != Presence::Lost && !node.drained && lasting(group, node).is_empty()
}

/// The tasks of one group, by what becomes of them.
struct Division<'a> {
    group: &'a Group,
    /// They count as what is wanted.
    staying: Vec<&'a Task>,
    /// They run where they should not stay, and end once enough others are healthy.
    leaving: Vec<(&'a Task, Why)>,
    /// They end now.
    ended: Vec<(&'a Task, Why)>,
    /// Numbers that are not free.
    taken: BTreeSet<u64>,
    /// One of them may run although it does not count.
    may_run: bool,
}

impl<'a> Division<'a> {
    fn of(group: &'a Group, nodes: &[Node], tasks: &'a [Task]) -> Self {
        let mut division = Self {
            group,
            staying: Vec::new(),
            leaving: Vec::new(),
            ended: Vec::new(),
            taken: group.done.clone(),
            may_run: false,
        };
        for task in tasks.iter().filter(|task| task.group == group.id && !task.gone) {
            let node = nodes.iter().find(|node| node.id == task.node);
            let lost = node.is_none_or(|node| node.presence == Presence::Lost);
            division.taken.insert(task.index);
            if task.stopping {
                division.may_run |= task.may_run || !lost;
            } else if lost {
                division.may_run |= task.may_run;
                division.ended.push((task, Why::NodeLost));
            } else if task.state == State::Failed {
                division.ended.push((task, Why::Failed));
            } else if node.is_some_and(|node| node.drained) {
                division.leaving.push((task, Why::NodeDrained));
            } else if node.is_some_and(|node| !lasting(group, node).is_empty()) {
                division.leaving.push((task, Why::NodeUnfit));
            } else {
                division.staying.push(task);
            }
        }
        // Of a singleton, a task of another version is one too many as well.
        let others = tasks.iter().filter(|task| task.service == group.service && task.group != group.id && !task.gone);
        let reachable = |id: u64| nodes.iter().any(|node| node.id == id && node.presence != Presence::Lost);
        let may_run = |task: &Task| task.may_run || (task.state != State::Failed && reachable(task.node));
        division.may_run |= group.singleton && others.into_iter().any(may_run);
        division
    }

    fn difficulty(&self, nodes: &[Node]) -> (usize, std::cmp::Reverse<(u64, u64, u64)>, u64) {
        let possible = nodes.iter().filter(|node| lasting(self.group, node).is_empty()).count();
        let needs = self.group.resources;
        (possible, std::cmp::Reverse((needs.memory, needs.cpu_millis, needs.disk)), self.group.id)
    }

    fn settle(mut self, nodes: &[Node], usages: &mut Usages, plan: &mut Plan) {
        plan.stop.extend(self.ended.iter().map(|(task, why)| Stop { task: task.id, why: *why }));
        match self.group.copies {
            Copies::Count(count) => self.settle_count(count, nodes, usages, plan),
            Copies::EachNode => self.settle_each_node(nodes, usages, plan),
        }
    }

    fn settle_count(&mut self, count: u64, nodes: &[Node], usages: &mut Usages, plan: &mut Plan) {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(self.group.done.len());
        while self.staying.len() > wanted {
            let Some(task) = least_missed(self.group, &self.staying, nodes, usages) else { break };
            plan.stop.push(Stop { task: task.id, why: Why::TooMany });
            if let Some(usage) = usages.get_mut(&task.node) {
                usage.uncount(&self.group.service);
            }
            self.staying.retain(|other| other.id != task.id);
        }
        // One that must not run twice is not started beside one that leaves.
        if self.group.singleton {
            let leaving = &self.leaving;
            let fits = |(task, _): &&(&Task, Why)| {
                nodes.iter().any(|node| self.reasons(task.index, node, usages, false).is_empty())
            };
            let is_spare = self.staying.len() >= wanted;
            let ends =
                leaving.iter().filter(|one| is_spare || fits(one)).map(|(task, why)| Stop { task: task.id, why: *why });
            plan.stop.extend(ends);
            self.may_run |= !self.leaving.is_empty();
        } else {
            // What is on a silent node may be gone.
            let is_here = |id: u64| nodes.iter().any(|node| node.id == id && node.presence == Presence::Here);
            let healthy = self.staying.iter().filter(|task| task.healthy && is_here(task.node)).count();
            // As many as are not needed any more, those that are not healthy first.
            let needed = wanted.saturating_sub(healthy);
            let mut leaving = self.leaving.clone();
            leaving.sort_by_key(|(task, _)| (task.healthy, task.index));
            let spare = leaving.len().saturating_sub(needed);
            plan.stop.extend(leaving[..spare].iter().map(|(task, why)| Stop { task: task.id, why: *why }));
        }
        let missing = wanted.saturating_sub(self.staying.len());
        // Under another number it would start without its data.
        let is_there = |index: u64| self.staying.iter().any(|task| task.index == index);
        let bound = self.taken.iter().copied().filter(|index| self.group.bound.contains_key(index));
        let waiting: Vec<u64> = bound.filter(|index| !is_there(*index)).take(missing).collect();
        for index in &waiting {
            let reasons = nodes.iter().map(|node| (node.id, self.reasons(*index, node, usages, true)));
            plan.unplaced.push(Unplaced { group: self.group.id, index: *index, reasons: reasons.collect() });
        }
        let free = (1..).filter(|index| !self.taken.contains(index));
        for index in free.take(missing - waiting.len()) {
            self.place_among(index, nodes, nodes, usages, plan);
        }
    }

    /// What is against a task on a node. `may_run`: one that it must not run beside may still run.
    fn reasons(&self, index: u64, node: &Node, usages: &Usages, may_run: bool) -> Vec<Reason> {
        let Some(usage) = usages.get(&node.id) else { return Vec::new() };
        let mut reasons = reasons(self.group, Some(index), node, usage);
        if may_run {
            reasons.push(Reason::MayRun);
        }
        reasons
    }

    fn settle_each_node(&mut self, nodes: &[Node], usages: &mut Usages, plan: &mut Plan) {
        plan.stop.extend(self.leaving.iter().map(|(task, why)| Stop { task: task.id, why: *why }));
        let meant: Vec<&Node> = nodes.iter().filter(|node| is_meant(self.group, node)).collect();
        for node in &meant {
            // One that is silent gets its task when it reports again.
            if !self.taken.contains(&node.id) && node.presence == Presence::Here {
                self.place_among(node.id, std::slice::from_ref(*node), nodes, usages, plan);
            }
        }
        if meant.is_empty() && self.group.done.is_empty() {
            plan.unplaced.extend(nodes.iter().map(|node| {
                let reasons = BTreeMap::from([(node.id, self.reasons(node.id, node, usages, false))]);
                Unplaced { group: self.group.id, index: node.id, reasons }
            }));
        }
    }

    /// Starts the task on the best of `candidates`, or says why on none.
    fn place_among(&self, index: u64, candidates: &[Node], nodes: &[Node], usages: &mut Usages, plan: &mut Plan) {
        let mut against = BTreeMap::new();
        let mut best = None;
        for node in candidates {
            let Some(usage) = usages.get(&node.id) else { continue };
            let mut reasons = self.reasons(index, node, usages, self.group.singleton && self.may_run);
            let ports = if reasons.is_empty() { usage.choose(node, self.group, index) } else { None };
            let Some(ports) = ports else {
                if reasons.is_empty() {
                    reasons.push(Reason::NoPort);
                }
                against.insert(node.id, reasons);
                continue;
            };
            let preferred = self.group.preferred.get(&index).and_then(|nodes| nodes.get(&node.id));
            let score = (Reverse(preferred.copied().unwrap_or(0)), score(self.group, node, nodes, usages));
            if best.as_ref().is_none_or(|(other, _)| score < *other) {
                best = Some((score, ports));
            }
        }
        let Some(((_, (.., node)), ports)) = best else {
            plan.unplaced.push(Unplaced { group: self.group.id, index, reasons: against });
            return;
        };
        if let Some(usage) = usages.get_mut(&node) {
            usage.hold(self.group.resources, &self.group.host_ports);
            usage.hold(super::Resources::default(), &ports);
            usage.count(&self.group.service);
        }
        plan.start.push(Start { group: self.group.id, index, node, ports });
    }
}
