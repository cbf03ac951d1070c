//! Why a task, a service, a stack or a node is as it is: the chain of reasons in the cluster's records, and the next command to
//! type.
//!
//! Pure functions of what was read; `disco why` reads it.

mod node;
mod service;
mod task;

use disco_proto::v1::StatusResponse;
use disco_store::typed::{CapacityRecord, DeploymentRecord, EventRecord, TaskState};
use std::collections::BTreeMap;

use super::{Catalogue, Target, Task};

/// Events that are shown.
const EVENTS: usize = 8;

/// What was read of the cluster.
pub(crate) struct Known {
    pub(crate) catalogue: Catalogue,
    pub(crate) status: StatusResponse,
    /// By id.
    pub(crate) deployments: BTreeMap<u64, DeploymentRecord>,
    /// By the node's id.
    pub(crate) capacities: BTreeMap<u64, CapacityRecord>,
    /// The newest ones, oldest first.
    pub(crate) events: Vec<EventRecord>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Explanation {
    /// `task`, `service`, `stack` or `node`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// It is as it shall be.
    pub(crate) ok: bool,
    /// What it does, and the last reason if it should do something else.
    pub(crate) verdict: String,
    /// Name and text, in the order in which one leads to the other.
    pub(crate) facts: Vec<(String, String)>,
    /// Why nodes have no place for a task: copies, node, reason.
    pub(crate) nodes: Vec<Refusal>,
    /// The task whose last lines show more.
    pub(crate) output_of: Option<u64>,
    pub(crate) events: Vec<EventRecord>,
    /// Commands, the most useful first.
    pub(crate) next: Vec<String>,
}

/// Why a node does not get tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Such as `1 to 3`.
    pub(crate) copies: String,
    pub(crate) node: String,
    pub(crate) reason: String,
}

/// Explains tasks, a service or a stack.
pub(crate) fn explain(target: &Target, named: &str, known: &Known) -> Vec<Explanation> {
    match target {
        Target::Stack(stack) => vec![service::explain_stack(stack, known)],
        Target::Service(stack, name) => vec![service::explain(stack, name, known)],
        Target::Copy(stack, name, _) => {
            let tasks: Vec<&Task> = known.catalogue.tasks.iter().filter(|task| target.has(&task.record)).collect();
            match tasks.is_empty() {
                // It has no node, or is more than there are copies.
                true => vec![Explanation { name: named.to_owned(), ..service::explain(stack, name, known) }],
                false => tasks.into_iter().map(|task| task::explain(task, known)).collect(),
            }
        }
        Target::Task(_) => {
            let tasks = known.catalogue.tasks.iter().filter(|task| target.has(&task.record));
            tasks.map(|task| task::explain(task, known)).collect()
        }
    }
}

/// Explains a node.
pub(crate) fn explain_node(id: u64, known: &Known) -> Explanation {
    node::explain(id, known)
}

impl Explanation {
    fn fact(&mut self, name: &str, text: impl Into<String>) {
        self.facts.push((name.to_owned(), text.into()));
    }
}

impl Known {
    /// The newest of the events that are about something.
    fn events_about(&self, is_about: impl Fn(&EventRecord) -> bool) -> Vec<EventRecord> {
        // What an operator runs beside a task explains nothing about it.
        let telling = self.events.iter().rev().filter(|event| !event.kind.starts_with("exec."));
        let mut found: Vec<EventRecord> = telling.filter(|event| is_about(event)).take(EVENTS).cloned().collect();
        found.reverse();
        found
    }

    /// The condition of a node in words; whether it can have tasks.
    fn node_condition(&self, id: u64) -> (bool, String) {
        let name = self.catalogue.node_name(id);
        let Some(status) = self.status.nodes.iter().find(|node| node.id == id) else {
            return (false, format!("{name}, which is no member of the cluster"));
        };
        let drained = self.catalogue.nodes.get(&id).is_some_and(|node| node.drained);
        match (status.healthy, drained) {
            (true, false) => (true, name),
            (true, true) => (false, format!("{name}, which is drained")),
            (false, _) => {
                let why = status.reason.lines().next().filter(|line| !line.is_empty()).unwrap_or("no reason is known");
                (false, format!("{name}, which is not healthy: {why}"))
            }
        }
    }
}

/// Whether an event names a service in its data, or the deployment of its stack.
fn is_of_service(event: &EventRecord, stack: &str, service: &str) -> bool {
    let Some(data) = &event.data else { return false };
    data["stack"] == stack && (data["service"] == service || data["service"].is_null())
}

/// How a task ended last, if it has.
fn last_end(task: &Task) -> Option<String> {
    let state = task.state.as_ref()?;
    let how = match (&state.signal, state.exit_code) {
        (Some(signal), _) => format!("ended by {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => return None,
    };
    Some(state.finished_at.as_ref().map_or_else(|| how.clone(), |at| format!("{how} at {at}")))
}

/// Whether a task is as it shall be.
fn is_well(task: &Task) -> bool {
    task.is_healthy() || task.state() == TaskState::Stopped
}

/// Parses the reasons that a service's record has, see `ServiceRecord::unplaced`.
fn refusals(service: &str, unplaced: &str, nodes: &[String]) -> Vec<Refusal> {
    let mut found: Vec<Refusal> = Vec::new();
    let mut copies = String::new();
    for part in unplaced.split("; ").filter(|part| !part.is_empty()) {
        let mut rest = part;
        if let Some(numbered) = part.strip_prefix(service).and_then(|rest| rest.strip_prefix(' '))
            && numbered.starts_with(|c: char| c.is_ascii_digit())
            && let Some((numbers, reasons)) = numbered.split_once(": ")
        {
            (copies, rest) = (numbers.to_owned(), reasons);
        }
        match rest.split_once(": ") {
            Some((node, reason)) if nodes.iter().any(|known| known == node) => {
                found.push(Refusal { copies: copies.clone(), node: node.to_owned(), reason: reason.to_owned() });
            }
            // A part of the last reason, or one that concerns no node.
            _ => match found.last_mut() {
                Some(last) if rest == part => last.reason = format!("{}; {rest}", last.reason),
                _ => found.push(Refusal { copies: copies.clone(), node: String::new(), reason: rest.to_owned() }),
            },
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(copies: &str, node: &str, reason: &str) -> Refusal {
        Refusal { copies: copies.to_owned(), node: node.to_owned(), reason: reason.to_owned() }
    }

    #[test]
    fn reasons_are_read_per_node() {
        let nodes = ["n1".to_owned(), "n-2".to_owned()];
        let text = "web 1 to 3, 5: n1: the node is drained; n-2: 64 MB of memory are missing; see: there; web 7: there is no node";
        assert_eq!(
            refusals("web", text, &nodes),
            [
                refusal("1 to 3, 5", "n1", "the node is drained"),
                refusal("1 to 3, 5", "n-2", "64 MB of memory are missing; see: there"),
                refusal("7", "", "there is no node"),
            ]
        );
        assert_eq!(refusals("web", "", &nodes), []);
    }
}
