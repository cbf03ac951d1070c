use std::collections::BTreeMap;

use comfy_table::Cell;
use disco_proto::v1::NodeStatus;
use serde::Serialize;
use serde_json::{Value, json};

use super::units::{age, memory};
use crate::printer::{Style, Table, View, cell};

/// Maximum width of a node's health in the table: a longer reason is printed below the table, which would exceed the terminal.
const LONGEST_HEALTH: usize = 42;

/// A node in `disco status -o json` and `disco nodes -o json`. Fields are added, never renamed.
#[derive(Debug, Serialize)]
pub(crate) struct NodeView {
    id: u64,
    name: String,
    address: String,
    role: String,
    healthy: bool,
    version: String,
    /// Absent until the leader has heard from the node.
    pid: Option<u32>,
    rss_kb: Option<u64>,
    last_seen_ms: Option<u64>,
    instance: Option<String>,
    reason: Option<String>,
    labels: BTreeMap<String, String>,
    draining: bool,
    /// It has no tasks, and gets none (`disco drain`). Absent in `disco status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    drained: Option<bool>,
    script: Option<String>,
    /// The public address, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_address: Option<String>,
    /// Number of log entries that it lacks, according to the leader.
    behind: Option<u64>,
    /// Time since it last answered the leader; absent until the leader has reached it.
    answered_ms: Option<u64>,
    /// Unexpected ends of its daemon since it was installed; absent if its supervisor does not count them.
    restarts: Option<u64>,
}

impl From<NodeStatus> for NodeView {
    fn from(node: NodeStatus) -> Self {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            id: node.id,
            name: node.name,
            address: node.address,
            role: node.role,
            healthy: node.healthy,
            version: node.version,
            pid: (node.pid != 0).then_some(node.pid),
            rss_kb: (node.rss_kb != 0).then_some(node.rss_kb),
            last_seen_ms: node.last_seen_ms,
            instance: some(node.instance),
            reason: some(node.reason),
            labels: node.labels.into_iter().collect(),
            draining: node.draining,
            drained: None,
            script: some(node.script),
            public_address: some(node.public_address),
            behind: node.behind,
            answered_ms: node.answered_ms,
            restarts: node.restarts,
        }
    }
}

impl NodeView {
    /// Notes whether it gets tasks.
    pub(crate) fn drained(mut self, drained: bool) -> Self {
        self.drained = Some(drained);
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn health(&self) -> Cell {
        match (self.healthy, self.draining) {
            (true, true) => cell::warning("draining"),
            (true, false) if self.drained == Some(true) => cell::warning("healthy, drained"),
            (true, false) => cell::good("healthy"),
            (false, _) => cell::bad(self.unhealthy_text()),
        }
    }

    /// Why it is not healthy, in one line.
    fn unhealthy_text(&self) -> String {
        match self.reason.as_deref().and_then(|reason| reason.lines().next()) {
            None => "not healthy".to_owned(),
            Some(reason) => {
                let text = format!("not healthy: {reason}");
                match text.char_indices().nth(LONGEST_HEALTH) {
                    Some((end, _)) => format!("{}…", text[..end].trim_end()),
                    None => text,
                }
            }
        }
    }

    /// The whole reason, if the table shows only its beginning.
    fn long_reason(&self) -> Option<&str> {
        let reason = self.reason.as_deref().filter(|_| !self.healthy)?;
        (!self.unhealthy_text().ends_with(reason)).then_some(reason)
    }

    fn cells(&self) -> Vec<Cell> {
        vec![
            cell::plain(self.id),
            cell::plain(&self.name),
            cell::plain(&self.address),
            cell::plain(&self.role),
            self.health(),
            cell::plain(memory(self.rss_kb.unwrap_or(0))),
            cell::plain(self.last_seen_ms.map_or_else(|| "never".to_owned(), age)),
            cell::plain(if self.version.is_empty() { "-" } else { &self.version }),
            cell::plain(self.instance.as_deref().unwrap_or("-")),
        ]
    }
}

/// `disco nodes`.
#[derive(Debug)]
pub(crate) struct NodesView(pub(crate) Vec<NodeView>);

impl View for NodesView {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|node| node.name.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let headings = ["ID", "NAME", "ADDRESS", "ROLE", "HEALTH", "MEMORY", "SEEN", "VERSION", "INSTANCE"];
        let mut table = Table::new(style, &headings).spare(&["VERSION", "INSTANCE", "MEMORY", "SEEN"]);
        for node in &self.0 {
            table.row(node.cells());
        }
        let mut text = table.text();
        for node in &self.0 {
            if let Some(reason) = node.long_reason() {
                text.push_str(&format!("{}: {}\n", style.bold(&node.name), reason.trim_end().replace('\n', "\n  ")));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_stands_below_the_table() {
        let reason = "no sign of life for 4.1 s (called at 127.71.9.3:5080: cannot connect to it: Connection refused)";
        let ill =
            |reason: &str| NodeStatus { name: "web-1".to_owned(), reason: reason.to_owned(), ..NodeStatus::default() };
        let text = |node: NodeStatus| NodesView(vec![node.into()]).text(Style::default());
        let long = text(ill(reason));
        assert!(
            long.ends_with(&format!("web-1: {reason}\n")) && long.contains("not healthy: no sign of life"),
            "{long}"
        );
        assert!(long.lines().take(2).all(|line| line.chars().count() <= 120), "{long}");
        let short = text(ill("it has a cold"));
        assert!(short.contains("not healthy: it has a cold") && short.lines().count() == 2, "{short}");
        let well = text(NodeStatus { healthy: true, ..ill(reason) });
        assert!(!well.contains("no sign"), "{well}");
    }
}
