//! Networks, volumes, secrets and configs: defaults, names, and only those that a service uses.

use std::collections::BTreeSet;

use super::{put, put_missing};
use crate::yaml::{Entry, Map, Node, Value};

/// The network of a service that names none, and the folder of its secrets.
pub(super) fn service_defaults(service: &mut Node) {
    let place = service.place;
    let Some(keys) = service.map_mut() else { return };
    let has_networks = keys.get("networks").and_then(|entry| entry.node.map()).is_some_and(|map| !map.is_empty());
    let is_process = keys.get("x-disco").is_some_and(|entry| entry.node.get("process").is_some());
    if !has_networks && !keys.contains_key("network_mode") && !is_process {
        let default = Map::from([("default".to_owned(), Entry { place, node: Node::new(place, Value::Null) })]);
        put(keys, place, "networks", Value::Map(default));
    }
    let secrets = keys.get_mut("secrets").map(|entry| &mut entry.node.value);
    if let Some(Value::List(secrets)) = secrets {
        for secret in secrets {
            let at = secret.place;
            let Some(map) = secret.map_mut() else { continue };
            let name = map.get("source").and_then(|entry| entry.node.scalar()).unwrap_or_default();
            let target = format!("/run/secrets/{name}");
            put_missing(map, at, "target", Value::Text(target));
        }
    }
    if let Some(Value::List(hosts)) = keys.get_mut("extra_hosts").map(|entry| &mut entry.node.value) {
        hosts.sort_by(|a, b| a.scalar().cmp(&b.scalar()));
    }
    if let Some(check) = keys.get_mut("healthcheck").and_then(|entry| entry.node.map_mut())
        && check.get("test").and_then(|entry| entry.node.list()).is_some_and(<[Node]>::is_empty)
    {
        check.shift_remove("test");
    }
}

/// Gives each resource its name, and declares the default network.
pub(super) fn name(tree: &mut Node, stack: &str) {
    let used = used(tree);
    let place = tree.place;
    let Some(top) = tree.map_mut() else { return };
    if used.iter().any(|(section, name)| *section == "networks" && name == "default") {
        let networks = top
            .entry("networks".to_owned())
            .or_insert_with(|| Entry { place, node: Node::new(place, Value::Map(Map::new())) });
        if let Some(networks) = networks.node.map_mut() {
            networks
                .entry("default".to_owned())
                .or_insert_with(|| Entry { place, node: Node::new(place, Value::Null) });
        }
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        let Some(resources) = top.get_mut(section).and_then(|entry| entry.node.map_mut()) else { continue };
        for (name, entry) in resources.iter_mut() {
            named(name, entry, stack, section);
        }
    }
}

/// Removes resources that no service uses.
pub(crate) fn prune(tree: &mut Node) {
    let used = used(tree);
    let Some(top) = tree.map_mut() else { return };
    for section in ["networks", "volumes", "secrets", "configs"] {
        let Some(resources) = top.get_mut(section).and_then(|entry| entry.node.map_mut()) else { continue };
        resources.retain(|name, _| used.contains(&(section, name.clone())));
        if resources.is_empty() {
            top.shift_remove(section);
        }
    }
}

fn named(name: &str, entry: &mut Entry, stack: &str, section: &str) {
    let place = entry.place;
    if entry.node.is_null() {
        entry.node.value = Value::Map(Map::new());
    }
    let Some(map) = entry.node.map_mut() else { return };
    let external = match map.get("external").map(|entry| entry.node.clone()) {
        Some(Node { value: Value::Map(old), place, .. }) => {
            if let Some(name) = old.get("name") {
                put_missing(map, place, "name", name.node.value.clone());
            }
            put(map, place, "external", Value::Bool(true));
            true
        }
        Some(node) => node.value == Value::Bool(true),
        None => false,
    };
    let default = if external { name.to_owned() } else { format!("{stack}_{name}") };
    put_missing(map, place, "name", Value::Text(default));
    if section == "networks" && !external {
        put_missing(map, place, "ipam", Value::Map(Map::new()));
    }
}

/// Section and key of each resource that a service names.
fn used(tree: &Node) -> BTreeSet<(&'static str, String)> {
    let mut used = BTreeSet::new();
    let Some(services) = tree.get("services").and_then(Node::map) else { return used };
    for entry in services.values() {
        let service = &entry.node;
        for name in service.get("networks").and_then(Node::map).into_iter().flat_map(Map::keys) {
            used.insert(("networks", name.clone()));
        }
        for volume in service.get("volumes").and_then(Node::list).unwrap_or_default() {
            if volume.get("type").and_then(Node::scalar) == Some("volume")
                && let Some(source) = volume.get("source").and_then(Node::scalar)
            {
                used.insert(("volumes", source.to_owned()));
            }
        }
        let variables = service.get("x-disco").and_then(|disco| disco.get("secret_environment")).and_then(Node::map);
        for secret in variables.into_iter().flatten().filter_map(|(_, entry)| entry.node.scalar()) {
            used.insert(("secrets", secret.to_owned()));
        }
        for section in ["secrets", "configs"] {
            let of_build = service.get("build").and_then(|build| build.get(section));
            for mounts in [service.get(section), of_build].into_iter().flatten() {
                for mount in mounts.list().unwrap_or_default() {
                    if let Some(source) = mount.get("source").and_then(Node::scalar) {
                        used.insert((section, source.to_owned()));
                    }
                }
            }
        }
    }
    used
}
