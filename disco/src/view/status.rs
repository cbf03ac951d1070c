use disco_proto::v1::StatusResponse;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    NodeView, NodesView,
    units::{bytes, short_hash},
};
use crate::printer::{Style, View};

/// `disco status -o json`. Fields are added, never renamed.
#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    cluster: String,
    healthy: bool,
    leader: Option<u64>,
    term: u64,
    script: Option<String>,
    #[serde(serialize_with = "nodes")]
    nodes: NodesView,
    cluster_id: String,
    revision: i64,
    history: History,
    desired_nodes: u32,
    warnings: Vec<String>,
    /// This is the view of a single node without a leader.
    stale: bool,
    /// Names of machines that are being terminated and still cost money.
    ending: Vec<String>,
}

/// The revisions that can be read and watched from.
#[derive(Debug, Serialize)]
struct History {
    /// The oldest one.
    compact_revision: i64,
    revisions: i64,
    /// Size of superseded versions and deleted keys.
    bytes: u64,
}

fn nodes<S: serde::Serializer>(nodes: &NodesView, serializer: S) -> Result<S::Ok, S::Error> {
    nodes.0.serialize(serializer)
}

impl From<StatusResponse> for StatusView {
    fn from(status: StatusResponse) -> Self {
        Self {
            cluster: status.cluster,
            healthy: status.healthy,
            leader: (status.leader != 0).then_some(status.leader),
            term: status.term,
            script: (!status.script.is_empty()).then_some(status.script),
            nodes: NodesView(status.nodes.into_iter().map(NodeView::from).collect()),
            cluster_id: status.cluster_id,
            revision: status.revision,
            history: History {
                compact_revision: status.compact_revision,
                revisions: status.revision - status.compact_revision.max(1) + 1,
                bytes: status.history_bytes,
            },
            desired_nodes: status.desired_nodes,
            warnings: status.warnings,
            stale: status.stale,
            ending: status.ending,
        }
    }
}

impl StatusView {
    fn headline(&self, style: Style) -> String {
        let health = match (self.healthy, self.leader) {
            (true, _) => style.good("healthy"),
            (false, Some(_)) => style.bad("not healthy"),
            (false, None) => style.bad("no leader"),
        };
        let count = match (self.nodes.0.len(), self.desired_nodes as usize) {
            (have, 0) => format!("{have} nodes"),
            (have, want) if have == want => format!("{have} node{}", if have == 1 { "" } else { "s" }),
            (have, want) => format!("{have} of {want} nodes"),
        };
        let script = self
            .script
            .as_deref()
            .map_or_else(|| "no script".to_owned(), |hash| format!("script {}", short_hash(hash)));
        let health = match self.ending.len() {
            0 => health,
            1 => format!("{health}, {}", style.warning("but a machine has not ended")),
            more => format!("{health}, {}", style.warning(&format!("but {more} machines have not ended"))),
        };
        let stale = if self.stale { ", as one node sees it" } else { "" };
        format!("{} is {health}: {count}, term {}, {script}{stale}\n", style.bold(&self.cluster), self.term)
    }
}

impl View for StatusView {
    fn json(&self) -> Value {
        json!(self)
    }

    fn names(&self) -> Vec<String> {
        self.nodes.0.iter().map(|node| node.name().to_owned()).collect()
    }

    fn text(&self, style: Style) -> String {
        let mut text = self.headline(style);
        if !self.nodes.0.is_empty() {
            text.push('\n');
            text.push_str(&self.nodes.text(style));
        }
        text.push_str(&style.dim(&format!(
            "revision {}, history from {} on ({})",
            self.revision,
            self.history.compact_revision.max(1),
            bytes(self.history.bytes)
        )));
        text.push('\n');
        for warning in &self.warnings {
            text.push_str(&format!("{} {warning}\n", style.warning("warning:")));
        }
        text
    }
}
