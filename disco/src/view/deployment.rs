use serde_json::{Value, json};

use super::units::seconds;
use crate::printer::{Style, Table, View, cell};

/// `disco deployments`, the newest last.
#[derive(Debug)]
pub(crate) struct DeploymentsView(Vec<Value>);

impl DeploymentsView {
    /// From the records as they are stored.
    pub(crate) fn new(mut records: Vec<Value>) -> Self {
        records.sort_by_key(|record| record["id"].as_u64());
        Self(records)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl View for DeploymentsView {
    fn json(&self) -> Value {
        self.0
            .iter()
            .map(|record| {
                json!({
                    "id": record["id"],
                    "stack": record["stack"],
                    "state": record["state"],
                    "started_at": record["started_at"],
                    "finished_at": record["finished_at"],
                    "error": record["error"],
                    "node": record["leader"],
                    "script": record["script"],
                })
            })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|record| record["id"].to_string()).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut table = Table::new(style, &["ID", "STACK", "STATE", "STARTED", "NODE", "ERROR"]).spare(&["NODE"]);
        for record in &self.0 {
            let text = |field: &str| record[field].as_str().unwrap_or_default();
            let state = match text("state") {
                "succeeded" => cell::good("succeeded"),
                state @ ("failed" | "rolled_back") => cell::bad(state),
                state => cell::plain(state),
            };
            let why = text("error").lines().next().unwrap_or_default();
            table.row(vec![
                cell::plain(&record["id"]),
                cell::plain(record["stack"].as_str().unwrap_or("-")),
                state,
                cell::plain(seconds(text("started_at"))),
                cell::plain(&record["leader"]),
                cell::plain(why),
            ]);
        }
        table.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_are_listed_by_number_with_their_errors() {
        let failed = json!({ "id": 10, "state": "failed", "started_at": "2026-01-01T00:00:00Z", "leader": 2,
            "error": "no such file\nat cluster.js:1" });
        let running = json!({ "id": 9, "state": "running", "started_at": "2026-01-01T00:00:01Z", "leader": 1 });
        let view = DeploymentsView::new(vec![failed, running]);
        assert_eq!(view.names(), ["9", "10"]);
        assert_eq!(view.json()[1]["error"], "no such file\nat cluster.js:1");
        let text = view.text(Style::default());
        assert!(
            text.lines().nth(2).is_some_and(|line| line.contains("failed") && line.ends_with("no such file")),
            "{text}"
        );
    }
}
