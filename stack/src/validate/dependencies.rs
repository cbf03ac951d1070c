//! `depends_on`: services that exist, and no cycle.

use std::collections::BTreeMap;

use crate::{
    normalise::Inactive,
    problem::{Findings, Problem},
    suggest::nearest,
    yaml::{Entry, Map, Node, Value},
};

/// Services of a cycle that an error names.
const MOST_SHOWN: usize = 10;

pub(super) fn check(services: &Map, inactive: &Inactive, findings: &mut Findings) {
    for (name, entry) in services {
        for (other, dependency) in dependencies(&entry.node) {
            if other == name {
                findings.error(Problem::at(dependency.place, format!("the service `{name}` depends on itself")));
            } else if let Some(target) = services.get(other) {
                reachable(name, other, dependency, target, findings);
            } else {
                unknown(name, other, dependency, services, inactive, findings);
            }
        }
    }
    if let Some(cycle) = cycle(services) {
        let mut path: Vec<&str> = cycle.iter().map(|(name, _)| *name).chain([cycle[0].0]).collect();
        if path.len() > MOST_SHOWN {
            path.splice(MOST_SHOWN / 2..path.len() - MOST_SHOWN / 2, ["…"]);
        }
        let message = format!("`depends_on` has a cycle: {}", path.join(" -> "));
        let mut problem = Problem::at(cycle[0].1.place, message);
        for (name, entry) in cycle[1..].iter().take(MOST_SHOWN) {
            problem = problem.related(format!("and `{name}` here"), entry.place);
        }
        findings.error(problem);
    }
}

fn dependencies(service: &Node) -> impl Iterator<Item = (&String, &Entry)> {
    service.get("depends_on").and_then(Node::map).into_iter().flatten()
}

/// A state that the other service can never have would be waited for without end.
fn reachable(name: &str, other: &str, at: &Entry, target: &Entry, findings: &mut Findings) {
    let Some(condition) = at.node.get("condition").filter(|node| node.scalar() == Some("service_healthy")) else {
        return;
    };
    let check = target.node.get("healthcheck");
    let disabled = check.and_then(|check| {
        let none = check.get("test").filter(|test| test.list().and_then(|list| list.first()?.scalar()) == Some("NONE"));
        none.or_else(|| check.get("disable").filter(|disable| disable.value == Value::Bool(true)))
    });
    let disco = target.node.get("x-disco");
    let process = disco.and_then(|disco| disco.get("process"));
    let probed = check.is_some_and(|check| check.get("test").is_some())
        || disco.is_some_and(|disco| disco.get("health").is_some());
    let why = match (disabled, process) {
        (Some(node), _) => Some(("its probe is disabled here", node.place)),
        (None, Some(node)) if !probed => Some(("a process has no probe but those that are given", node.place)),
        _ => None,
    };
    if let Some((why, place)) = why {
        let message = format!("the service `{name}` waits until `{other}` is healthy, which has no probe");
        let problem = Problem::at(condition.place, message).related(why, place);
        findings.error(problem.hint("use `condition: service_started`, or give it a probe"));
    }
}

fn unknown(name: &str, other: &str, at: &Entry, services: &Map, inactive: &Inactive, findings: &mut Findings) {
    let optional = matches!(at.node.get("required").map(|node| &node.value), Some(Value::Bool(false)));
    match inactive.get(other) {
        Some(_) if optional => {}
        Some((place, profiles)) => {
            let message = format!("the service `{name}` depends on `{other}`, whose profile is not active");
            let problem = Problem::at(at.place, message).related("defined here", *place);
            findings.error(problem.hint(format!("run with `--profile {}`, or write `required: false`", profiles[0])));
        }
        None => {
            let problem =
                Problem::at(at.place, format!("the service `{name}` depends on `{other}`, which does not exist"));
            let known: Vec<&str> = services.keys().map(String::as_str).collect();
            let near = nearest(other, &known);
            match near {
                Some(near) => findings.error(problem.hint(format!("did you mean `{near}`?"))),
                None if optional => findings.warn(problem),
                None => findings.error(problem),
            }
        }
    }
}

/// The first cycle of two or more services, each with its entry that leads on.
fn cycle(services: &Map) -> Option<Vec<(&str, &Entry)>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        OnPath,
        Done,
    }
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for start in services.keys() {
        if seen.contains_key(start.as_str()) {
            continue;
        }
        // Without recursion: a chain may be as long as the file.
        let mut path: Vec<(&str, Vec<(&String, &Entry)>)> = Vec::new();
        let mut enter = Some(start.as_str());
        while enter.is_some() || !path.is_empty() {
            if let Some(name) = enter.take() {
                seen.insert(name, Seen::OnPath);
                let mut next: Vec<(&String, &Entry)> =
                    services.get(name).map(|entry| dependencies(&entry.node).collect()).unwrap_or_default();
                next.reverse();
                path.push((name, next));
                continue;
            }
            let Some((name, next)) = path.last_mut() else { break };
            let Some((other, _)) = next.last() else {
                seen.insert(name, Seen::Done);
                path.pop();
                if let Some((_, next)) = path.last_mut() {
                    next.pop();
                }
                continue;
            };
            match (seen.get(other.as_str()), services.contains_key(other.as_str())) {
                (Some(Seen::OnPath), _) if other.as_str() != *name => {
                    let other = other.as_str();
                    let from = path.iter().position(|(name, _)| *name == other)?;
                    return Some(
                        path[from..].iter().filter_map(|(name, next)| Some((*name, next.last()?.1))).collect(),
                    );
                }
                (None, true) => enter = Some(other.as_str()),
                _ => {
                    next.pop();
                }
            }
        }
    }
    None
}
