use serde_json::{Value, json};

use super::units::short_sum;
use crate::{
    printer::{Style, Table, View, cell},
    upgrade::{Action, NodeOutcome, Record},
};

/// `disco upgrade`. Fields are added, never renamed.
#[derive(Debug)]
pub(crate) struct UpgradeView(Record);

impl From<Record> for UpgradeView {
    fn from(record: Record) -> Self {
        Self(record)
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Unchanged => "unchanged",
        Action::Replaced => "replaced",
        Action::Failed => "failed",
        Action::RolledBack => "rolled_back",
    }
}

fn row(node: &NodeOutcome) -> Value {
    json!({
        "id": node.id,
        "name": node.name,
        "role": node.role,
        "action": word(node.action),
        "before": node.before,
        "seconds": node.took.map(|took| (took.as_secs_f64() * 1000.0).round() / 1000.0),
        "version": node.version,
    })
}

impl View for UpgradeView {
    fn json(&self) -> Value {
        json!({
            "dry_run": self.0.dry_run,
            "binary": self.0.binary,
            "changed": self.0.changed(),
            "rolled_back": self.0.rolled_back(),
            "nodes": self.rows(),
        })
    }

    fn rows(&self) -> Vec<Value> {
        self.0.nodes.iter().map(row).collect()
    }

    fn names(&self) -> Vec<String> {
        let done = self.0.nodes.iter().filter(|node| node.action != Action::Unchanged);
        done.map(|node| node.name.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        let mut table =
            Table::new(style, &["NODE", "ROLE", "BEFORE", "ACTION", "VERSION"]).spare(&["VERSION", "BEFORE"]);
        for node in &self.0.nodes {
            let action = match (node.action, self.0.dry_run) {
                (Action::Unchanged, _) => cell::plain("unchanged"),
                (Action::Replaced, true) => cell::plain("to be restarted with the new binary"),
                (Action::Replaced, false) => cell::good("runs the new binary"),
                (Action::Failed, _) => cell::bad("did not come back"),
                (Action::RolledBack, _) => cell::warning("runs the previous binary again"),
            };
            table.row(vec![
                cell::plain(&node.name),
                cell::plain(&node.role),
                cell::plain(node.before.as_deref().map_or("-", short_sum)),
                action,
                cell::plain(if node.version.is_empty() { "-" } else { &node.version }),
            ]);
        }
        let headline = match (self.0.changed(), self.0.dry_run) {
            (false, _) => "nothing to do: all nodes run",
            (true, true) => "would be installed, in this order:",
            (true, false) => "the new binary is",
        };
        let sum = short_sum(&self.0.binary);
        let headline = if self.0.dry_run && self.0.changed() {
            format!("discod {sum} {headline}\n")
        } else {
            format!("{headline} discod {sum}\n")
        };
        format!("{headline}\n{}", table.text())
    }
}
