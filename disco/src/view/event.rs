use serde_json::{Value, json};

use super::units::seconds;
use crate::printer::{Item, Style, View, wrap};

/// Columns of an event's kind.
const KIND: usize = 18;
/// Columns of a terminal that has space for the node of each event.
const WIDE: u16 = 100;

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
        let kind = format!("{:<KIND$}", self.text_of("kind"));
        let kind = match self.text_of("severity") {
            "error" => style.bad(&kind),
            "warning" => style.warning(&kind),
            _ => style.accent(&kind),
        };
        let node = match &self.0["node"] {
            Value::Number(id) => format!("node {id}"),
            _ => "cluster".to_owned(),
        };
        let Some(width) = style.width else {
            return format!("{} {kind} {node:<8} {}", style.dim(self.text_of("time")), self.text_of("message"));
        };
        // On a terminal: whole seconds, and the node only where there is space, as most messages name it.
        let time = seconds(self.text_of("time"));
        let node = if width < WIDE { String::new() } else { format!("{node:<8} ") };
        let indent = time.len() + KIND + 2 + node.len();
        format!("{} {kind} {node}{}", style.dim(&time), wrap(self.text_of("message"), style.width, indent))
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
    fn an_event_fits_the_terminal_and_is_whole_without_one() {
        let event = EventItem::parse(
            br#"{"kind":"node.joined","time":"2026-11-30T11:51:53.215Z","node":2,
                 "message":"web-2 joined at 127.103.238.3:5080, after a time without an answer"}"#,
        );
        let at = |width| event.text(Style { color: false, width });
        assert!(
            at(None).starts_with("2026-11-30T11:51:53.215Z node.joined        node 2   web-2 joined"),
            "{}",
            at(None)
        );
        assert_eq!(at(None).lines().count(), 1);
        assert!(at(Some(120)).contains("53Z node.joined        node 2   web-2 joined"), "{}", at(Some(120)));
        let narrow = at(Some(80));
        assert!(narrow.lines().count() == 2 && narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.starts_with("2026-11-30T11:51:53Z node.joined        web-2 joined"), "{narrow}");
        assert!(narrow.ends_with(&format!("\n{}after a time without an answer", " ".repeat(40))), "{narrow}");
    }

    #[test]
    fn past_events_are_one_document() {
        let events = [r#"{"id":1,"kind":"a"}"#, r#"{"id":2,"kind":"b"}"#];
        let view = EventsView(events.iter().map(|event| EventItem::parse(event.as_bytes())).collect());
        assert_eq!(view.json(), json!([{ "id": 1, "kind": "a" }, { "id": 2, "kind": "b" }]));
        assert_eq!(view.rows().len(), 2);
        assert_eq!(view.names(), ["1", "2"]);
    }
}
