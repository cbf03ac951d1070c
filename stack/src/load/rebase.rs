//! What a value means depends on its file: relative paths on its folder, names without values on its variables. Settled here, before
//! values of several files meet.

use super::{Loader, SCOPE};
use crate::{
    environment::Environment,
    paths::{is_remote, join, marked},
    yaml::{Entry, Node, Tag, Value},
};

/// Paths and inherited variables of a service.
pub(super) fn service(service: &mut Node, folder: &str, scope: usize, environment: &Environment) {
    inherit(at(service, &["environment"]), environment);
    inherit(at(service, &["build", "args"]), environment);
    if let Some(context) = at(service, &["build", "context"]) {
        source(context, folder);
    }
    if let Some(contexts) = at(service, &["build", "additional_contexts"]).and_then(Node::map_mut) {
        contexts.values_mut().for_each(|entry| source(&mut entry.node, folder));
    }
    if let Some(path) = at(service, &["x-disco", "process", "path"]) {
        local(path, folder);
    }
    for file in items(at(service, &["env_file"])) {
        let place = file.place;
        if let Some(path) = file.map_mut().and_then(|map| map.get_mut("path")) {
            plain(&mut path.node, folder);
        }
        if let Some(map) = file.map_mut() {
            let scope = Value::Int(i64::try_from(scope).unwrap_or(0));
            map.insert(SCOPE.to_owned(), Entry { place, node: Node::new(place, scope) });
        }
    }
    for file in items(at(service, &["label_file"])) {
        plain(file, folder);
    }
    for volume in items(at(service, &["volumes"])) {
        if volume.get("type").and_then(Node::scalar) == Some("bind")
            && let Some(path) = volume.map_mut().and_then(|map| map.get_mut("source"))
        {
            local(&mut path.node, folder);
        }
    }
}

impl Loader<'_> {
    /// Files of secrets and configs, and their values from variables.
    pub(super) fn rebase_resources(&mut self, whole: &mut Node, folder: &str, scope: usize) {
        for section in ["secrets", "configs"] {
            let Some(resources) = at(whole, &[section]).and_then(Node::map_mut) else { continue };
            for (name, entry) in resources.iter_mut() {
                if let Some(file) = at(&mut entry.node, &["file"]) {
                    local(file, folder);
                }
                let variable = entry.node.get("environment").and_then(Node::scalar).map(str::to_owned);
                let Some(value) = variable.and_then(|name| self.scopes[scope].get(&name).map(str::to_owned)) else {
                    continue;
                };
                self.values.insert(format!("{section}.{name}"), value);
            }
        }
    }
}

fn at<'a>(node: &'a mut Node, path: &[&str]) -> Option<&'a mut Node> {
    path.iter().try_fold(node, |node, key| node.map_mut()?.get_mut(*key).map(|entry| &mut entry.node))
}

fn items(node: Option<&mut Node>) -> &mut [Node] {
    match node.map(|node| &mut node.value) {
        Some(Value::List(list)) => list,
        _ => &mut [],
    }
}

fn inherit(node: Option<&mut Node>, environment: &Environment) {
    let Some(map) = node.and_then(Node::map_mut) else { return };
    for (name, entry) in map.iter_mut() {
        if entry.node.is_null()
            && entry.node.tag != Tag::Reset
            && let Some(value) = environment.get(name)
        {
            entry.node.value = Value::Text(value.to_owned());
        }
    }
}

fn rewrite(node: &mut Node, path: impl Fn(&str) -> String) {
    if let Value::Text(text) = &mut node.value {
        *text = path(text);
    }
}

fn source(node: &mut Node, folder: &str) {
    rewrite(node, |text| if is_remote(text) { text.to_owned() } else { marked(&join(folder, text)) });
}

fn local(node: &mut Node, folder: &str) {
    rewrite(node, |text| marked(&join(folder, text)));
}

fn plain(node: &mut Node, folder: &str) {
    rewrite(node, |text| join(folder, text));
}
