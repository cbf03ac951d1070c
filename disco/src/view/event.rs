use serde_json::{Value, json};

use crate::printer::{Item, Style, View};

/// One event of the cluster, as it is stored.
#[derive(Debug)]
pub(crate) struct EventItem(Value);

impl EventItem {
    /// Parses an event; a value that is not a JSON object is shown as text.
    pub(crate) fn parse(value: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(value) {
            Ok(event @ Value::Object(_)) => Self(event),
            _ => Self(json!({ "message": String::from_utf8_lossy(value) })),
        }
    }

    fn text_of(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or("-")
    }
}

impl Item for EventItem {
    fn json(&self) -> Value {
        self.0.clone()
    }

    fn name(&self) -> String {
        self.0["id"].to_string()
    }

    fn text(&self, style: Style) -> String {
        let kind = format!("{:<20}", self.text_of("kind"));
        let kind = match self.text_of("severity") {
            "error" => style.bad(&kind),
            "warning" => style.warning(&kind),
            _ => style.accent(&kind),
        };
        let node = match &self.0["node"] {
            Value::Number(id) => format!("node {id}"),
            _ => "cluster".to_owned(),
        };
        format!("{} {kind} {node:<8} {}", style.dim(self.text_of("time")), self.text_of("message"))
    }
}

/// `disco events` without `-w`, oldest first.
#[derive(Debug)]
pub(crate) struct EventsView(pub(crate) Vec<EventItem>);

impl View for EventsView {
    fn json(&self) -> Value {
        self.0.iter().map(Item::json).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(Item::name).collect()
    }

    fn text(&self, style: Style) -> String {
        self.0.iter().map(|event| format!("{}\n", event.text(style))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_events_are_one_document() {
        let events = [r#"{"id":1,"kind":"a"}"#, r#"{"id":2,"kind":"b"}"#];
        let view = EventsView(events.iter().map(|event| EventItem::parse(event.as_bytes())).collect());
        assert_eq!(view.json(), json!([{ "id": 1, "kind": "a" }, { "id": 2, "kind": "b" }]));
        assert_eq!(view.rows().len(), 2);
        assert_eq!(view.names(), ["1", "2"]);
    }
}
