//! Whether a task can run on a node, and if not, why.

use std::fmt;

use super::usage::Usage;
use super::view::{Constraint, Group, Node, Port, Presence, Protocol};

/// Why a task cannot run on a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The node does not report.
    Silent,
    /// The node shall be emptied.
    Drained,
    /// The node lacks the driver.
    Driver(String),
    /// A label has another value than required, or the one that is excluded.
    Constraint(Constraint),
    /// The node lacks a volume.
    Volume(String),
    /// The task's data is on another node.
    BoundTo(u64),
    /// Something else uses a port that the task needs.
    Port(Port),
    /// No port is left to choose.
    NoPort,
    /// There is less of a resource than needed.
    Resource {
        /// Which.
        resource: Resource,
        /// How much the task needs, in thousandths or bytes.
        needed: u64,
        /// How much is free.
        free: u64,
    },
    /// The node refused it.
    Refused(String),
    /// One of a singleton may still run.
    MayRun,
}

/// What a node can have too little of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resource {
    /// In thousandths of a processor.
    Processors,
    /// In bytes.
    Memory,
    /// In bytes.
    Disk,
}

/// Thousandths as a decimal number.
fn processors(thousandths: u64) -> String {
    let text = format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Bytes in the largest unit of which there is at least one, to a tenth below.
fn size(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0 => return "0".to_owned(),
        bytes if bytes >= 1 << 30 => (30, "GiB"),
        bytes if bytes >= 1 << 20 => (20, "MiB"),
        bytes => return format!("{bytes} bytes"),
    };
    match ((bytes >> shift), ((bytes & ((1 << shift) - 1)) * 10) >> shift) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, tenth) => format!("{whole}.{tenth} {unit}"),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("the node does not report"),
            Self::Drained => f.write_str("the node is drained"),
            Self::Driver(name) => write!(f, "the node has no driver `{name}`"),
            Self::Constraint(Constraint::Is(label, value)) => write!(f, "label `{label}` is not `{value}`"),
            Self::Constraint(Constraint::IsNot(label, value)) => write!(f, "label `{label}` is `{value}`"),
            Self::Volume(name) => write!(f, "volume `{name}` is not there"),
            Self::BoundTo(node) => write!(f, "its data is on node {node}"),
            Self::Port(Port { number, protocol: Protocol::Tcp }) => write!(f, "port {number}/tcp is in use"),
            Self::Port(Port { number, protocol: Protocol::Udp }) => write!(f, "port {number}/udp is in use"),
            Self::NoPort => f.write_str("no port is free"),
            Self::Resource { resource, needed, free } => match resource {
                Resource::Processors => {
                    let [needed, free] = [*needed, *free].map(processors);
                    write!(f, "needs {needed} processors, {free} free")
                }
                Resource::Memory => write!(f, "needs {} of memory, {} free", size(*needed), size(*free)),
                Resource::Disk => write!(f, "needs {} of disk, {} free", size(*needed), size(*free)),
            },
            Self::Refused(why) => write!(f, "the node refused it: {why}"),
            Self::MayRun => f.write_str("the previous one may still run"),
        }
    }
}

/// All reasons against a task of the group on the node; none if it fits.
pub(super) fn reasons(group: &Group, index: Option<u64>, node: &Node, usage: &Usage) -> Vec<Reason> {
    let mut reasons = lasting(group, node);
    if node.presence != Presence::Here {
        reasons.push(Reason::Silent);
    }
    if node.drained {
        reasons.push(Reason::Drained);
    }
    if let Some(home) = index.and_then(|index| group.bound.get(&index)).filter(|home| **home != node.id) {
        reasons.push(Reason::BoundTo(*home));
    }
    reasons.extend(node.refused.get(&group.id).cloned().map(Reason::Refused));
    reasons.extend(group.host_ports.iter().filter(|port| !usage.is_free(node, **port)).copied().map(Reason::Port));
    let (has, used, needs) = (node.resources, usage.resources, group.resources);
    for (resource, has, used, needed) in [
        (Resource::Processors, has.cpu_millis, used.cpu_millis, needs.cpu_millis),
        (Resource::Memory, has.memory, used.memory, needs.memory),
        (Resource::Disk, has.disk, used.disk, needs.disk),
    ] {
        let free = has.saturating_sub(used);
        if needed > free {
            reasons.push(Reason::Resource { resource, needed, free });
        }
    }
    reasons
}

/// Reasons that no passing of time removes: whether the node is meant at all. A service of each node counts only nodes without.
pub(super) fn lasting(group: &Group, node: &Node) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !group.driver.is_empty() && !node.drivers.contains(&group.driver) {
        reasons.push(Reason::Driver(group.driver.clone()));
    }
    for constraint in &group.constraints {
        let value = |label: &String| node.labels.get(label).map_or("", String::as_str);
        let holds = match constraint {
            Constraint::Is(label, wanted) => value(label) == wanted,
            Constraint::IsNot(label, excluded) => value(label) != excluded,
        };
        if !holds {
            reasons.push(Reason::Constraint(constraint.clone()));
        }
    }
    reasons.extend(group.volumes.iter().filter(|name| !node.volumes.contains(*name)).cloned().map(Reason::Volume));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_in_units_that_people_use() {
        assert_eq!(
            [0, 700, 8 << 20, (3 << 30) / 2, 900 << 30].map(size),
            ["0", "700 bytes", "8 MiB", "1.5 GiB", "900 GiB"]
        );
        assert_eq!([0, 50, 1_500, 2_000].map(processors), ["0", "0.05", "1.5", "2"]);
    }
}
