//! The old form of fig and of Compose 1: services at the top level, without `services:`.

use crate::{
    place::Place,
    problem::{Findings, Problem},
    schema::{TOP, find},
    yaml::{Entry, Map, Node, Tag, Value},
};

/// Reads a fig file as today's form, and reports that once. Its shape shows what it is: no key of today's top level, and every
/// key but `x-*` is a mapping, one at least with `image`, `build` or `extends`.
pub(crate) fn modernise(document: Node, findings: &mut Findings) -> Node {
    if !is_fig(&document) {
        return document;
    }
    let place = document.place;
    let message = "this file has the form of fig: its top-level keys are read as services";
    findings.warn(Problem::at(place, message).hint("put them below `services:`"));
    let Value::Map(keys) = document.value else { return document };
    let (mut services, mut top) = (Map::new(), Map::new());
    for (name, entry) in keys {
        if name.starts_with("x-") {
            top.insert(name, entry);
        } else {
            services.insert(name, Entry { node: service(entry.node), ..entry });
        }
    }
    let volumes = undeclared_volumes(&services, place);
    top.insert("services".to_owned(), Entry { place, node: Node::new(place, Value::Map(services)) });
    if !volumes.is_empty() {
        top.insert("volumes".to_owned(), Entry { place, node: Node::new(place, Value::Map(volumes)) });
    }
    Node::new(place, Value::Map(top))
}

fn is_fig(document: &Node) -> bool {
    let Some(map) = document.map() else { return false };
    let own: Vec<(&String, &Entry)> = map.iter().filter(|(name, _)| !name.starts_with("x-")).collect();
    let known = |name: &str| find(TOP, name).is_some();
    own.iter().all(|(name, entry)| !known(name) && entry.node.map().is_some())
        && own.iter().any(|(_, entry)| ["image", "build", "extends"].iter().any(|key| entry.node.get(key).is_some()))
}

/// Keys of Compose 1 that have other names today.
fn service(node: Node) -> Node {
    let Value::Map(keys) = node.value else { return node };
    let (mut service, mut logging, mut dockerfile) = (Map::new(), Map::new(), None);
    for (name, entry) in keys {
        match name.as_str() {
            "net" => {
                let mode = entry.node.scalar().map(|mode| mode.replacen("container:", "service:", 1));
                let node = mode.map_or(entry.node.clone(), |mode| Node::text(entry.node.place, mode));
                service.insert("network_mode".to_owned(), Entry { node, ..entry });
            }
            "log_driver" => {
                logging.insert("driver".to_owned(), entry);
            }
            "log_opt" => {
                logging.insert("options".to_owned(), entry);
            }
            "dockerfile" => dockerfile = Some(entry),
            _ => {
                service.insert(name, entry);
            }
        }
    }
    if let Some(first) = logging.values().next() {
        let place = first.place;
        service.insert("logging".to_owned(), Entry { place, node: Node::new(place, Value::Map(logging)) });
    }
    if let (Some(dockerfile), Some(build)) = (dockerfile, service.get_mut("build")) {
        let context = std::mem::replace(&mut build.node, Node::new(build.place, Value::Null));
        let mut whole = Map::from([("dockerfile".to_owned(), dockerfile)]);
        whole.insert("context".to_owned(), Entry { place: context.place, node: context });
        build.node = Node::new(build.place, Value::Map(whole));
    }
    Node { tag: Tag::None, value: Value::Map(service), ..node }
}

/// Fig knew no top-level `volumes`: a name was a volume.
fn undeclared_volumes(services: &Map, place: Place) -> Map {
    let mut volumes = Map::new();
    let entries = services.values().filter_map(|service| service.node.get("volumes")?.list()).flatten();
    for volume in entries.filter_map(Node::scalar) {
        if let Some((source, _)) = volume.split_once(':')
            && !source.starts_with(['.', '/', '~', '$'])
        {
            volumes.insert(source.to_owned(), Entry { place, node: Node::new(place, Value::Null) });
        }
    }
    volumes
}
