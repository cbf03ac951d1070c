//! What is taken of each node, kept while a plan is made.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{Group, Node, Port, Protocol, Resources};

/// Ports that are chosen for tasks: below those that Linux hands out by itself (32768 to 60999, `ip_local_port_range`), above
/// those of well-known services.
const CHOSEN: std::ops::Range<u16> = 20_000..32_000;

/// Of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    pub resources: Resources,
    ports: BTreeSet<Port>,
    /// Tasks of each service that count for keeping them apart.
    services: BTreeMap<String, u64>,
}

impl Usage {
    /// Resources and ports that a task holds until it is gone.
    pub fn hold(&mut self, resources: Resources, ports: &[Port]) {
        self.resources = self.resources.plus(resources);
        self.ports.extend(ports);
    }

    /// A task that stays.
    pub fn count(&mut self, service: &str) {
        *self.services.entry(service.to_owned()).or_default() += 1;
    }

    /// A task that was counted and is stopped after all.
    pub fn uncount(&mut self, service: &str) {
        if let Some(count) = self.services.get_mut(service) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many tasks of the service stay.
    pub fn of(&self, service: &str) -> u64 {
        self.services.get(service).copied().unwrap_or_default()
    }

    pub fn is_free(&self, node: &Node, port: Port) -> bool {
        !self.ports.contains(&port) && !node.ports.contains(&port)
    }

    /// Chooses ports for a task, from a place in the range that depends on the task: a number that was just released is
    /// rarely the next one to be used, so that a client that is late meets nobody rather than another service.
    pub fn choose(&self, node: &Node, group: &Group, index: u64) -> Option<Vec<Port>> {
        let width = u64::from(CHOSEN.end - CHOSEN.start);
        let first =
            group.id.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(index.wrapping_mul(0xBF58_476D_1CE4_E5B9))
                % width;
        let mut chosen: Vec<Port> = Vec::with_capacity(group.ports);
        let numbers = (0..width).filter_map(|n| u16::try_from((first + n) % width).ok()).map(|n| CHOSEN.start + n);
        for number in numbers {
            if chosen.len() == group.ports {
                break;
            }
            let both = [Protocol::Tcp, Protocol::Udp].map(|protocol| Port { number, protocol });
            let asked = both.iter().any(|port| group.host_ports.contains(port));
            if !asked && both.iter().all(|port| self.is_free(node, *port)) {
                chosen.push(Port { number, protocol: Protocol::Tcp });
            }
        }
        (chosen.len() == group.ports).then_some(chosen)
    }

    /// The largest share, in thousandths, that would be taken of any resource of the node.
    pub fn share_with(&self, node: &Node, more: Resources) -> u64 {
        let after = self.resources.plus(more);
        let share = |used: u64, has: u64| {
            if used == 0 { 0 } else { used.saturating_mul(1_000).checked_div(has).unwrap_or(u64::MAX) }
        };
        share(after.cpu_millis, node.resources.cpu_millis)
            .max(share(after.memory, node.resources.memory))
            .max(share(after.disk, node.resources.disk))
    }
}
