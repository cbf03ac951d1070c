//! `env_file` below `environment`, `label_file` below `labels`.

use std::collections::BTreeMap;

use crate::{
    environment::dotenv,
    files::{Content, NoFile, read_text},
    load::{Loader, SCOPE},
    problem::Problem,
    yaml::{Entry, Map, Node, Value},
};

pub(super) fn merge_files(loader: &mut Loader<'_>, service: &str, node: &mut Node) {
    let Some(keys) = node.map_mut() else { return };
    if let Some(files) = keys.shift_remove("env_file") {
        let own = keys.get("environment").and_then(|entry| entry.node.map()).into_iter().flatten();
        let own = own.filter_map(|(name, entry)| Some((name.clone(), entry.node.scalar()?.to_owned()))).collect();
        let mut variables = Map::new();
        for file in files.node.list().unwrap_or_default() {
            read_file(loader, service, "env_file", file, &own, &mut variables);
        }
        below(keys, "environment", variables);
    }
    if let Some(files) = keys.shift_remove("label_file") {
        let mut labels = Map::new();
        for file in files.node.list().unwrap_or_default() {
            read_file(loader, service, "label_file", file, &BTreeMap::new(), &mut labels);
        }
        below(keys, "labels", labels);
    }
}

/// Values of the file may use variables of the stack, of the service, and those further up, in this order.
fn read_file(
    loader: &mut Loader<'_>,
    service: &str,
    key: &str,
    file: &Node,
    own: &BTreeMap<String, String>,
    variables: &mut Map,
) {
    let entry = file.get("path").unwrap_or(file);
    let path = loader.reading(entry.scalar().unwrap_or_default());
    let required = !matches!(file.get("required").map(|node| &node.value), Some(Value::Bool(false)));
    let (text, start) = match read_text(loader.files, &path, Content::Variables, Some(entry.place), &mut loader.sources)
    {
        Ok(read) => read,
        Err(NoFile { missing: true, .. }) if !required => return,
        Err(NoFile { problem, .. }) => {
            let message = format!("`services.{service}.{key}`: {}", problem.message);
            let problem = Problem { message, ..problem };
            loader.findings.error(match key {
                "env_file" => problem.hint("create it, or write `- {path: …, required: false}`"),
                _ => problem,
            });
            return;
        }
    };
    let scope = match file.get(SCOPE).map(|node| &node.value) {
        Some(Value::Int(scope)) => usize::try_from(*scope).unwrap_or(0),
        _ => 0,
    };
    let environment = &loader.scopes[scope].over(own.clone());
    let lines = match file.get("format").and_then(Node::scalar) {
        Some("raw") => dotenv::parse_raw(&text, start, environment),
        _ => dotenv::parse(&text, start, environment, &loader.sources, &mut loader.findings),
    };
    for line in lines {
        // A name alone that the environment does not have stays unset.
        if let Some(value) = line.value {
            variables.insert(line.name, Entry { place: line.place, node: Node::text(line.place, value) });
        }
    }
}

/// Values of files, and over them those of the stack file.
fn below(keys: &mut Map, key: &str, mut files: Map) {
    if files.is_empty() {
        return;
    }
    let Some(own) = keys.get_mut(key) else {
        let place = files.values().next().map(|entry| entry.place);
        if let Some(place) = place {
            keys.insert(key.to_owned(), Entry { place, node: Node::new(place, Value::Map(files)) });
        }
        return;
    };
    if let Value::Map(map) = &mut own.node.value {
        files.extend(std::mem::take(map));
        *map = files;
    }
}
