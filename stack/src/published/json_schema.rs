//! JSON Schema of stack files, draft 7, which editors know best.

use serde_json::{Map, Value, json};

use super::long_form;
use crate::schema::{Key, Kind, Support, TOP};
use crate::sorted::sorted;

/// The content of `disco.stack.json`.
pub fn json_schema() -> String {
    let mut schema = object(TOP);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        schema.insert("title".to_owned(), json!("Stack file of Disco"));
    }
    format!("{:#}\n", sorted(schema))
}

fn object(keys: &'static [Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
    })
}

fn property(key: &'static Key) -> Value {
    let (mut schema, description) = match key.support {
        Support::Yes(note) => (value(&key.kind), note.to_owned()),
        Support::Limited(note) => (value(&key.kind), note.to_owned()),
        Support::NoEffect(why) => (value(&key.kind), format!("No effect: {why}")),
        Support::No(instead) => (json!({ "not": {} }), format!("Disco does not support this: {instead}")),
    };
    if let Some(schema) = schema.as_object_mut().filter(|_| !description.is_empty()) {
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}

fn value(kind: &'static Kind) -> Value {
    let text = || json!({ "type": "string" });
    let list = |items: Value| json!({ "type": "array", "items": items });
    match kind {
        Kind::Text | Kind::Duration => text(),
        Kind::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Bool => json!({ "type": ["boolean", "string"] }),
        Kind::Int | Kind::Mode | Kind::DeviceCount => json!({ "type": ["integer", "string"] }),
        Kind::Number | Kind::Size | Kind::SizeOrUnlimited => json!({ "type": ["number", "string"] }),
        // Variables may stand for any of them.
        Kind::OneOf(names) => json!({ "anyOf": [{ "enum": names }, { "type": "string", "pattern": "\\$" }] }),
        Kind::TextList => list(text()),
        Kind::ScalarList | Kind::Expose => list(json!({ "type": ["string", "number"] })),
        Kind::TextOrList | Kind::Tmpfs | Kind::HealthTest => json!({ "anyOf": [text(), list(text())] }),
        Kind::Command => json!({ "anyOf": [text(), list(text()), { "type": "null" }] }),
        Kind::Pairs(_) => json!({ "anyOf": [
            { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } },
            list(text()),
        ] }),
        Kind::ExtraHosts => json!({ "anyOf": [
            { "type": "object", "additionalProperties": { "anyOf": [text(), list(text())] } },
            list(text()),
        ] }),
        Kind::List(inner) => list(value(inner)),
        Kind::Map(inner) => json!({ "type": "object", "additionalProperties": value(inner) }),
        Kind::Object(keys) => object(keys),
        Kind::ObjectOrNull(keys) => json!({ "anyOf": [object(keys), { "type": "null" }] }),
        Kind::TextOrObject(_, keys) => json!({ "anyOf": [text(), object(keys)] }),
        Kind::NamesOrMap(_) => json!({ "anyOf": [
            list(text()),
            { "type": "object", "additionalProperties": { "anyOf": [long(kind), { "type": "null" }] } },
        ] }),
        Kind::DependsOn => json!({ "anyOf": [list(text()), { "type": "object", "additionalProperties": long(kind) }] }),
        Kind::External => json!({ "type": ["boolean", "string", "object"] }),
        Kind::EnvFiles => json!({ "anyOf": [text(), list(json!({ "anyOf": [text(), long(kind)] }))] }),
        Kind::Ports => list(json!({ "anyOf": [{ "type": ["string", "integer"] }, long(kind)] })),
        Kind::Volumes | Kind::Mounts(_) | Kind::Devices => list(json!({ "anyOf": [text(), long(kind)] })),
        Kind::Ulimits => json!({
            "type": "object",
            "additionalProperties": { "anyOf": [{ "type": ["integer", "string"] }, long(kind)] },
        }),
        Kind::Gpus => json!({ "anyOf": [{ "enum": ["all"] }, list(long(kind))] }),
        Kind::Restart | Kind::PullPolicy => text(),
        Kind::Free => json!({}),
    }
}

fn long(kind: &'static Kind) -> Value {
    long_form(kind).map_or_else(|| json!({}), object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_key_and_refuses_what_disco_does() {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let service = &schema["properties"]["services"]["additionalProperties"]["properties"];
        assert_eq!(service["image"]["type"], "string");
        assert_eq!(service["volumes_from"]["not"], json!({}));
        assert_eq!(service["x-disco"]["properties"]["singleton"]["type"], json!(["boolean", "string"]));
        assert_eq!(service["deploy"]["anyOf"][0]["properties"]["replicas"]["type"], json!(["integer", "string"]));
        assert_eq!(schema["additionalProperties"], false);
    }
}
