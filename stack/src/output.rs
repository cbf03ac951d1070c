//! The normalised stack in the shape of `docker compose config --format json --no-path-resolution`: loaded again, it gives the same
//! stack. Texts have `$` doubled for that.

use std::collections::BTreeMap;

use serde_json::{Map as Object, Number, Value as Json};

use crate::sorted::sorted;
use crate::yaml::{Map, Node, Value};

/// What stands in place of a secret.
pub(crate) const REDACTED: &str = "<redacted>";

/// The whole stack, without the values of secrets.
pub(crate) fn stack(name: &str, tree: &Node, values: &BTreeMap<String, String>) -> Json {
    let mut top = Object::new();
    top.insert("name".to_owned(), Json::from(name));
    for (key, entry) in tree.map().into_iter().flatten() {
        let json = match (key.as_str(), entry.node.map()) {
            ("name" | "version", _) => continue,
            ("services", Some(services)) => {
                let services = services.iter().map(|(name, entry)| (name.clone(), service(&entry.node)));
                Json::Object(services.collect())
            }
            _ => json(&entry.node),
        };
        top.insert(key.clone(), json);
    }
    let mut stack = Json::Object(top);
    redact(&mut stack, values);
    escape(&mut stack);
    sorted(stack)
}

/// A service; `command` and `entrypoint` are always there, `null` where the image's own counts.
pub(crate) fn service(node: &Node) -> Json {
    let mut keys = match json(node) {
        Json::Object(keys) => keys,
        _ => Object::new(),
    };
    // Chosen already, and a second choice would only remove services.
    for key in ["command", "entrypoint"] {
        keys.entry(key).or_insert(Json::Null);
    }
    sorted(Json::Object(keys))
}

pub(crate) fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::Plain(text) | Value::Text(text) => Json::from(text.as_str()),
        Value::List(list) => Json::Array(list.iter().map(json).collect()),
        Value::Map(map) => Json::Object(object(map)),
    }
}

fn object(map: &Map) -> Object<String, Json> {
    map.iter().map(|(name, entry)| (name.clone(), json(&entry.node))).collect()
}

/// A value that came from the same variable as a secret is a secret too, also within a longer text.
fn redact(json: &mut Json, values: &BTreeMap<String, String>) {
    let secrets: Vec<&String> = values
        .iter()
        .filter(|(key, value)| key.starts_with("secrets.") && !value.is_empty())
        .map(|(_, value)| value)
        .collect();
    each_text(json, &mut |text| {
        for secret in &secrets {
            let whole = *text == **secret;
            // A short value is found by chance: `1` in any number.
            if whole || (secret.len() >= 4 && text.contains(secret.as_str())) {
                *text = text.replace(secret.as_str(), REDACTED);
            }
        }
    });
}

fn escape(json: &mut Json) {
    each_text(json, &mut |text| {
        if text.contains('$') {
            *text = text.replace('$', "$$");
        }
    });
    escape_keys(json);
}

fn escape_keys(json: &mut Json) {
    match json {
        Json::Object(map) => {
            let keys: Vec<String> = map.keys().filter(|key| key.contains('$')).cloned().collect();
            for key in keys {
                if let Some(value) = map.remove(&key) {
                    map.insert(key.replace('$', "$$"), value);
                }
            }
            map.values_mut().for_each(escape_keys);
        }
        Json::Array(list) => list.iter_mut().for_each(escape_keys),
        _ => {}
    }
}

fn each_text(json: &mut Json, change: &mut dyn FnMut(&mut String)) {
    match json {
        Json::String(text) => change(text),
        Json::Array(list) => list.iter_mut().for_each(|json| each_text(json, change)),
        Json::Object(map) => map.values_mut().for_each(|json| each_text(json, change)),
        _ => {}
    }
}
