use std::collections::BTreeMap;

use serde::Deserialize;

/// `disco status -o json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// A quorum answers, and every node is healthy.
    pub healthy: bool,
    /// Node id.
    pub leader: Option<u64>,
    /// Leadership term.
    pub term: u64,
    /// `sha256:…`.
    pub script: Option<String>,
    /// By id.
    pub nodes: Vec<NodeStatus>,
    /// Warnings for the operator.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The answer is one node's own view.
    #[serde(default)]
    pub stale: bool,
}

/// A node in it.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeStatus {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// `IP:PORT`.
    pub address: String,
    /// `leader`, `voter`, `learner`.
    pub role: String,
    /// Whether it was seen recently, and its health hook agrees.
    pub healthy: bool,
    /// Of `discod`.
    pub version: String,
    /// Of `discod`; 0 as long as the leader has not heard from the node.
    #[serde(deserialize_with = "or_zero")]
    pub pid: u32,
    /// Resident memory; 0 likewise.
    #[serde(deserialize_with = "or_zero")]
    pub rss_kb: u64,
    /// Since its last sign of life.
    pub last_seen_ms: Option<u64>,
    /// Its machine.
    pub instance: Option<String>,
    /// Why it is not healthy.
    #[serde(default)]
    pub reason: Option<String>,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The script version that it runs.
    #[serde(default)]
    pub script: Option<String>,
}

impl Status {
    /// The leader, which must exist.
    #[track_caller]
    #[must_use]
    pub fn leading(&self) -> &NodeStatus {
        self.nodes.iter().find(|node| node.role == "leader").unwrap_or_else(|| panic!("no leader: {self:?}"))
    }

    /// The node with this id, which must exist.
    #[track_caller]
    #[must_use]
    pub fn node(&self, id: u64) -> &NodeStatus {
        self.nodes.iter().find(|node| node.id == id).unwrap_or_else(|| panic!("no node {id}: {self:?}"))
    }

    /// Nodes that do not lead.
    #[must_use]
    pub fn others(&self) -> Vec<&NodeStatus> {
        self.nodes.iter().filter(|node| node.role != "leader").collect()
    }

    /// How many nodes vote, the leader included.
    #[must_use]
    pub fn voters(&self) -> usize {
        self.nodes.iter().filter(|node| node.role != "learner").count()
    }

    /// Whether the leader has a report of each node: one that was just elected has none, and shows the process id 0 until then, also
    /// of nodes that are healthy.
    #[must_use]
    pub fn has_reports(&self) -> bool {
        self.nodes.iter().all(|node| node.pid != 0)
    }

    /// The processes, by node.
    #[must_use]
    pub fn pids(&self) -> BTreeMap<u64, u32> {
        self.nodes.iter().map(|node| (node.id, node.pid)).collect()
    }
}

fn or_zero<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
