use serde_json::{Value, json};

use crate::printer::{Item, Style};

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
