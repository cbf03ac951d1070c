//! A service that uses another's name or namespace starts after it.

use super::{put, put_missing};
use crate::{
    place::Place,
    yaml::{Entry, Map, Node, Value},
};

pub(super) fn imply(service: &mut Node) {
    let mut implied: Vec<(String, Place)> = Vec::new();
    for link in service.get("links").and_then(Node::list).unwrap_or_default() {
        let name = link.scalar().unwrap_or_default().split(':').next().unwrap_or_default();
        implied.push((name.to_owned(), link.place));
    }
    for key in ["network_mode", "ipc", "pid"] {
        if let Some(node) = service.get(key)
            && let Some(name) = node.scalar().and_then(|mode| mode.strip_prefix("service:"))
        {
            implied.push((name.to_owned(), node.place));
        }
    }
    let place = service.place;
    let Some(keys) = service.map_mut() else { return };
    if !implied.is_empty() {
        let all = keys
            .entry("depends_on".to_owned())
            .or_insert_with(|| Entry { place, node: Node::new(place, Value::Map(Map::new())) });
        if let Some(all) = all.node.map_mut() {
            for (name, at) in implied {
                all.entry(name).or_insert_with(|| {
                    let mut map = Map::new();
                    put(&mut map, at, "condition", Value::Text("service_started".to_owned()));
                    put(&mut map, at, "restart", Value::Bool(true));
                    Entry { place: at, node: Node::new(at, Value::Map(map)) }
                });
            }
        }
    }
    let Some(all) = keys.get_mut("depends_on").and_then(|entry| entry.node.map_mut()) else { return };
    for entry in all.values_mut() {
        let at = entry.place;
        if let Some(map) = entry.node.map_mut() {
            put_missing(map, at, "condition", Value::Text("service_started".to_owned()));
            put_missing(map, at, "required", Value::Bool(true));
        }
    }
}
