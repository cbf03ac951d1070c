//! What must be true of a normalised stack as a whole. All checks run; all errors are reported.

mod dependencies;
mod disco;
mod job;
mod names;
mod ports;
mod references;
mod service;

use crate::{
    normalise::Inactive,
    problem::Findings,
    yaml::{Entry, Map, Node},
};

pub(crate) use self::names::{check_stack, stack_name};

pub(crate) fn validate(tree: &Node, inactive: &Inactive, findings: &mut Findings) {
    let empty = Map::new();
    let services = tree.get("services").and_then(Node::map).unwrap_or(&empty);
    if services.is_empty() {
        let problem = crate::problem::Problem::at(tree.place, "the stack has no services");
        findings.warn(match inactive.is_empty() {
            true => problem.hint("add one below `services:`"),
            false => problem.hint("all have profiles: choose one with `--profile`"),
        });
    }
    for (name, entry) in services {
        names::check_service(name, entry.place, findings);
        service::check(name, entry, findings);
        disco::check(name, entry, findings);
        job::check(name, entry, findings);
        references::check(name, &entry.node, tree, findings);
    }
    references::check_resources(tree, findings);
    service::check_container_names(services, findings);
    dependencies::check(services, inactive, findings);
    job::check_dependencies(services, findings);
    ports::check(services, findings);
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::scalar)
}

fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    node.map()?.get(key)
}
