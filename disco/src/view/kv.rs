use disco_proto::v1::{Event, KeyValue, event};
use serde_json::{Map, Value, json};

use crate::printer::{Item, Style, Table, View, cell};

/// Longest value that a table shows.
const SHOWN: usize = 60;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A key as JSON. Bytes that are not UTF-8 are `null`, with an additional field `…_hex`.
fn object(kv: &KeyValue) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, bytes) in [("key", &kv.key), ("value", &kv.value)] {
        let text = std::str::from_utf8(bytes).ok();
        object.insert(name.to_owned(), json!(text));
        if text.is_none() {
            object.insert(format!("{name}_hex"), json!(hex::encode(bytes)));
        }
    }
    object.insert("create_revision".to_owned(), json!(kv.create_revision));
    object.insert("mod_revision".to_owned(), json!(kv.mod_revision));
    object.insert("version".to_owned(), json!(kv.version));
    object.insert("lease".to_owned(), json!(kv.lease));
    object
}

/// `disco kv get`.
#[derive(Debug)]
pub(crate) struct KeyView(pub(crate) KeyValue);

impl View for KeyView {
    fn json(&self) -> Value {
        Value::Object(object(&self.0))
    }

    fn names(&self) -> Vec<String> {
        vec![text(&self.0.key)]
    }

    fn text(&self, _style: Style) -> String {
        format!("{}\n", text(&self.0.value))
    }
}

/// `disco kv ls`.
#[derive(Debug)]
pub(crate) struct KeysView(pub(crate) Vec<KeyValue>);

impl View for KeysView {
    fn json(&self) -> Value {
        self.0.iter().map(|kv| Value::Object(object(kv))).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|kv| text(&kv.key)).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut table = Table::new(style, &["KEY", "VALUE", "REVISION"]);
        for kv in &self.0 {
            table.row(vec![
                cell::plain(text(&kv.key)),
                cell::plain(shortened(&kv.value)),
                cell::plain(kv.mod_revision),
            ]);
        }
        table.text()
    }
}

/// The first line, truncated if it is long.
fn shortened(value: &[u8]) -> String {
    let whole = text(value);
    let line = whole.lines().next().unwrap_or_default();
    let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    if shown.len() < whole.trim_end().len() { format!("{shown}…") } else { shown }
}

/// A change in `disco kv watch`.
#[derive(Debug)]
pub(crate) struct ChangeItem(pub(crate) Event);

impl ChangeItem {
    fn deleted(&self) -> bool {
        self.0.r#type() == event::Type::Delete
    }

    fn kv(&self) -> KeyValue {
        self.0.kv.clone().unwrap_or_default()
    }
}

impl Item for ChangeItem {
    fn json(&self) -> Value {
        let kv = self.kv();
        let mut object = object(&kv);
        if self.deleted() {
            object.retain(|name, _| ["key", "key_hex", "mod_revision"].contains(&name.as_str()));
        }
        object.insert("type".to_owned(), json!(if self.deleted() { "delete" } else { "put" }));
        Value::Object(object)
    }

    fn name(&self) -> String {
        text(&self.kv().key)
    }

    fn text(&self, style: Style) -> String {
        let kv = self.kv();
        let key = text(&kv.key);
        if self.deleted() {
            format!("{:>8} {} {key}", kv.mod_revision, style.bad("delete"))
        } else {
            format!("{:>8} {}    {key} = {}", kv.mod_revision, style.good("put"), shortened(&kv.value))
        }
    }
}
