//! Nodes, versions and tasks as the planner sees them.

use std::collections::{BTreeMap, BTreeSet};

use disco_planner::placement::{self, Copies, Group, Node, Port, Presence, Protocol, Resources, State, Task};

use super::pass::Pass;
use crate::cluster::workloads::check;
use crate::records::{self, Goal, GroupRecord, NodeRecord, PortSpec, ResourceSpec, ServiceSpec, TaskRecord};

/// Refusals of one node after which a version that has other ports to choose from is not tried there again.
const REFUSALS: usize = 2;

/// All nodes.
pub(in crate::controllers) fn nodes(pass: &Pass) -> Vec<Node> {
    let mut refusals: BTreeMap<(u64, u64), (usize, String)> = BTreeMap::new();
    let mut taken: BTreeMap<u64, BTreeSet<Port>> = BTreeMap::new();
    for task in pass.records().tasks.values() {
        let Some(state) = pass.state(task).filter(|state| state.refused) else { continue };
        let known = refusals.entry((task.node, task.group)).or_default();
        *known = (known.0 + 1, state.reason.clone());
        // Another number may be free.
        taken.entry(task.node).or_default().extend(ports(task));
    }
    let node = |record: &NodeRecord| {
        let capacity = pass.records().capacities.get(&record.id).cloned().unwrap_or_default();
        let mut labels = record.labels.clone();
        labels.insert("node.id".to_owned(), record.id.to_string());
        labels.insert("node.name".to_owned(), record.name.clone());
        let of_node = refusals.range((record.id, 0)..=(record.id, u64::MAX));
        let refused = of_node.filter(|((_, group), (count, _))| {
            let spec = pass.records().groups.get(group).map(|group| &group.spec);
            *count >= REFUSALS || spec.is_none_or(|spec| spec.ports.iter().all(is_host))
        });
        Node {
            id: record.id,
            labels,
            resources: Resources { cpu_millis: capacity.cpu_millis, memory: capacity.memory, disk: 0 },
            presence: pass.presence(record.id),
            drained: record.drained || record.leaving,
            drivers: capacity.drivers.into_iter().collect(),
            volumes: BTreeSet::new(),
            ports: taken.get(&record.id).cloned().unwrap_or_default(),
            refused: refused.map(|((_, group), (_, reason))| (*group, reason.clone())).collect(),
        }
    };
    // What runs on a node whose record cannot be read stays there, and nothing new comes.
    let unreadable = pass.records().nodes.unreadable().iter().map(|id| Node {
        presence: pass.presence(*id).max(Presence::Silent),
        ..node(&NodeRecord { id: *id, name: id.to_string(), ..NodeRecord::default() })
    });
    pass.records().nodes.values().map(node).chain(unreadable).collect()
}

/// The version of a service, with so many copies, of which some have ended as they should.
pub(in crate::controllers) fn group(group: &GroupRecord, copies: Copies, done: BTreeSet<u64>) -> Group {
    let spec = &group.spec;
    let fixed = spec.ports.iter().filter(|port| is_host(port));
    let fixed: Vec<Port> = fixed.filter_map(|port| Some(self::port(host(port)?, &port.protocol))).collect();
    Group {
        id: group.id,
        service: format!("{}/{}", group.stack, group.service),
        copies,
        resources: resources(spec.needs),
        driver: spec.driver.clone(),
        ports: spec.ports.len() - fixed.len(),
        host_ports: fixed,
        // Deploy refuses any other.
        constraints: spec.constraints.iter().filter_map(|text| check::constraint(text).ok()).collect(),
        spread: spec.spread.iter().filter_map(|text| check::label(text)).collect(),
        volumes: Vec::new(),
        bound: BTreeMap::new(),
        singleton: spec.singleton,
        done,
        preferred: BTreeMap::new(),
    }
}

/// All tasks that take something of a node. Those of other versions than a service shall have are no matter of placement.
pub(in crate::controllers) fn tasks(pass: &Pass, wanted: &BTreeSet<u64>) -> Vec<Task> {
    let task = |record: &TaskRecord| Task {
        id: record.id,
        group: record.group,
        service: format!("{}/{}", record.stack, record.service),
        index: record.index,
        node: record.node,
        state: if pass.state(record).is_some() { State::Running } else { State::Starting },
        healthy: pass.is_healthy(record),
        stopping: record.goal != Goal::Run || !wanted.contains(&record.group),
        gone: false,
        may_run: pass.may_run(record),
        resources: resources(record.needs),
        ports: ports(record).collect(),
    };
    let takes = |task: &&TaskRecord| !pass.is_gone(task) && !pass.is_complete(task);
    pass.records().tasks.values().filter(takes).map(task).collect()
}

/// The ports of a task, in the order of its version's: those that were chosen, and fixed ones.
pub(super) fn task_ports(spec: &ServiceSpec, chosen: &[Port]) -> Vec<records::TaskPort> {
    let mut chosen = chosen.iter();
    let port = |port: &PortSpec| {
        let number = host(port).or_else(|| chosen.next().map(|port| port.number))?;
        Some(records::TaskPort { target: port.target, number, protocol: port.protocol.clone() })
    };
    spec.ports.iter().filter_map(port).collect()
}

/// Why a task has no node, per node; `None` if it only waits for the end of another one of its service. `leaving` are nodes with
/// such a task.
pub(in crate::controllers) fn describe(
    pass: &Pass,
    unplaced: &placement::Unplaced,
    leaving: &BTreeSet<u64>,
) -> Option<String> {
    let waits = |(node, reasons): (&u64, &Vec<placement::Reason>)| {
        reasons.iter().all(|reason| match reason {
            placement::Reason::MayRun => true,
            placement::Reason::Port(_) | placement::Reason::Resource { .. } => leaving.contains(node),
            _ => false,
        })
    };
    if unplaced.reasons.iter().any(waits) {
        return None;
    }
    let names = pass.records().node_names();
    let node = |(id, reasons): (&u64, &Vec<placement::Reason>)| {
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        let name = names.get(id).map_or_else(|| id.to_string(), |name| (*name).to_owned());
        format!("{name}: {}", reasons.join(", "))
    };
    let nodes: Vec<String> = unplaced.reasons.iter().map(node).collect();
    Some(if nodes.is_empty() { "there is no node".to_owned() } else { nodes.join("; ") })
}

/// Copies with what they have in common: `web 1 to 3: n1: the node is drained`.
pub(super) fn join(service: &str, reasons: Vec<(u64, String)>) -> Vec<String> {
    let mut copies: Vec<(String, Vec<u64>)> = Vec::new();
    for (index, reason) in reasons {
        match copies.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, indexes)) => indexes.push(index),
            None => copies.push((reason, vec![index])),
        }
    }
    copies.into_iter().map(|(reason, indexes)| format!("{service} {}: {reason}", numbers(indexes))).collect()
}

/// `1 to 3, 5`.
fn numbers(mut numbers: Vec<u64>) -> String {
    numbers.sort_unstable();
    let ranges = numbers.chunk_by(|a, b| a + 1 == *b).map(|range| match range {
        [first, .., last] => format!("{first} to {last}"),
        other => other.iter().map(u64::to_string).collect(),
    });
    ranges.collect::<Vec<_>>().join(", ")
}

/// Whether a node can be asked for something.
pub(super) fn is_here(pass: &Pass, node: u64) -> bool {
    pass.presence(node) == Presence::Here
}

fn ports(task: &TaskRecord) -> impl Iterator<Item = Port> + '_ {
    task.ports.iter().map(|port| self::port(port.number, &port.protocol))
}

/// A port that is the same number on each node.
pub(super) fn is_host(port: &PortSpec) -> bool {
    host(port).is_some()
}

fn host(port: &PortSpec) -> Option<u16> {
    port.published.filter(|_| port.host).map(|(first, _)| first)
}

fn port(number: u16, protocol: &str) -> Port {
    Port { number, protocol: if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp } }
}

fn resources(spec: ResourceSpec) -> Resources {
    Resources { cpu_millis: spec.cpu_millis, memory: spec.memory, disk: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_with_equal_reasons_are_named_together() {
        let reasons = [(2, "a"), (1, "a"), (7, "b"), (3, "a"), (5, "a")];
        let joined = join("web", reasons.map(|(index, text)| (index, text.to_owned())).into());
        assert_eq!(joined, ["web 1 to 3, 5: a", "web 7: b"]);
    }
}
