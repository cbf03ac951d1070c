//! `build`: defaults, and the forms in which builders take it.

use super::put_missing;
use crate::yaml::{Node, Value};

pub(super) fn defaults(service: &mut Node) {
    let Some(build) = service.map_mut().and_then(|map| map.get_mut("build")) else { return };
    let place = build.place;
    let Some(map) = build.node.map_mut() else { return };
    put_missing(map, place, "context", Value::Text(".".to_owned()));
    if let Some(args) = map.get_mut("args").and_then(|entry| entry.node.map_mut()) {
        // An argument that nobody sets is the Dockerfile's own.
        args.retain(|_, entry| !entry.node.is_null());
    }
    if let Some(ssh) = map.get_mut("ssh") {
        let keys = ssh.node.map().into_iter().flatten().map(|(name, entry)| {
            let text = entry.node.scalar().map_or_else(|| name.clone(), |path| format!("{name}={path}"));
            Node::text(entry.place, text)
        });
        ssh.node.value = Value::List(keys.collect());
    }
    if !map.contains_key("dockerfile_inline") {
        put_missing(map, place, "dockerfile", Value::Text("Dockerfile".to_owned()));
    }
}
