//! Every network, volume, secret and config that a service names is declared, and each says where it comes from.

use super::{entry, text};
use crate::{
    place::Place,
    problem::{Findings, Problem},
    suggest::nearest,
    yaml::{Map, Node, Value},
};

pub(super) fn check(service: &str, node: &Node, tree: &Node, findings: &mut Findings) {
    for (name, used) in node.get("networks").and_then(Node::map).into_iter().flatten() {
        require(service, "networks", name, used.place, tree, findings);
    }
    for volume in node.get("volumes").and_then(Node::list).unwrap_or_default() {
        if text(volume, "type") == Some("volume")
            && let Some(source) = volume.get("source")
        {
            require(service, "volumes", source.scalar().unwrap_or_default(), source.place, tree, findings);
        }
    }
    let variables = node.get("x-disco").and_then(|disco| disco.get("secret_environment")).and_then(Node::map);
    for secret in variables.into_iter().flatten().map(|(_, entry)| &entry.node) {
        require(service, "secrets", secret.scalar().unwrap_or_default(), secret.place, tree, findings);
    }
    for section in ["secrets", "configs"] {
        let of_build = node.get("build").and_then(|build| build.get(section));
        for mounts in [node.get(section), of_build].into_iter().flatten() {
            for mount in mounts.list().unwrap_or_default() {
                if let Some(source) = mount.get("source") {
                    require(service, section, source.scalar().unwrap_or_default(), source.place, tree, findings);
                }
            }
        }
    }
}

fn require(service: &str, section: &'static str, name: &str, place: Place, tree: &Node, findings: &mut Findings) {
    let empty = Map::new();
    let declared = tree.get(section).and_then(Node::map).unwrap_or(&empty);
    if declared.contains_key(name) {
        return;
    }
    let one = section.trim_end_matches('s');
    let message = format!("the service `{service}` uses the {one} `{name}`, which is not declared");
    let known: Vec<&str> = declared.keys().map(String::as_str).collect();
    let hint = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if section == "volumes" && name.contains('/') => {
            format!("for a folder beside the file write `./{name}`; for a volume, declare it below `volumes:`")
        }
        None => format!("declare it below `{section}:` at the top level"),
    };
    findings.error(Problem::at(place, message).hint(hint));
}

pub(super) fn check_resources(tree: &Node, findings: &mut Findings) {
    for (section, sources) in
        [("secrets", &["file", "environment"][..]), ("configs", &["file", "environment", "content"])]
    {
        for (name, resource) in tree.get(section).and_then(Node::map).into_iter().flatten() {
            let external = is_external(&resource.node);
            let given: Vec<&str> = sources.iter().copied().filter(|key| entry(&resource.node, key).is_some()).collect();
            let expected = format!("expected one of `{}` and `external: true`", sources.join("`, `"));
            match (external, given.len()) {
                (true, 0) | (false, 1) => {}
                (false, 0) => {
                    let message = format!("`{section}.{name}` has no source: {expected}");
                    findings.error(Problem::at(resource.place, message));
                }
                _ => {
                    let message = format!("`{section}.{name}` has more than one source: {expected}");
                    findings.error(Problem::at(resource.place, message));
                }
            }
        }
    }
    for (name, network) in tree.get("networks").and_then(Node::map).into_iter().flatten() {
        check_driver(name, &network.node, findings);
    }
    for section in ["networks", "volumes"] {
        for (name, resource) in tree.get(section).and_then(Node::map).into_iter().flatten() {
            let Some(map) = resource.node.map().filter(|_| is_external(&resource.node)) else { continue };
            if let Some((key, given)) =
                map.iter().find(|(key, _)| !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-"))
            {
                let message = format!("`{section}.{name}` is external and has `{key}`: expected `name` alone");
                findings.error(Problem::at(given.place, message));
            }
        }
    }
}

/// Drivers that mean something: the cluster's network, or none of its own.
const DRIVERS: &[&str] = &["bridge", "overlay", "default", "host", "none"];

fn check_driver(name: &str, network: &Node, findings: &mut Findings) {
    if let Some(driver) =
        network.get("driver").filter(|driver| !driver.scalar().is_some_and(|name| DRIVERS.contains(&name)))
    {
        let message = format!("`networks.{name}.driver` is {}, which has no effect", driver.describe());
        findings.warn(Problem::at(driver.place, message).hint("the cluster's network connects the tasks of all nodes"));
    }
}

fn is_external(node: &Node) -> bool {
    node.get("external").is_some_and(|external| external.value == Value::Bool(true))
}
