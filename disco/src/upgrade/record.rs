use std::time::Duration;

use disco_proto::v1::NodeStatus;
use disco_provider::install::Binaries;

use super::nodes::Nodes;

/// What became of each node.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) dry_run: bool,
    /// Checksum of the new `discod`.
    pub(crate) binary: String,
    /// In the order in which they were done; those that were left alone after them.
    pub(crate) nodes: Vec<NodeRecord>,
}

/// What became of one node.
#[derive(Clone, Debug)]
pub(crate) struct NodeRecord {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// At the beginning.
    pub(crate) role: String,
    pub(crate) action: Action,
    /// Checksum of the `discod` that was installed at the beginning, where its machine could be looked at.
    pub(crate) before: Option<String>,
    /// From its restart until it was well again.
    pub(crate) took: Option<Duration>,
    /// The version that it runs at the end, as it says.
    pub(crate) version: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Had it already, or was not reached.
    Unchanged,
    /// Runs the new binary.
    Replaced,
    /// Did not come back, and is as it was left.
    Failed,
    /// Runs what it ran before again.
    RolledBack,
}

impl Record {
    pub(super) fn new(binaries: &Binaries) -> Self {
        Self { dry_run: false, binary: binaries.discod.sha256().to_owned(), nodes: Vec::new() }
    }

    /// Notes the nodes that are not known yet.
    pub(super) fn begin(&mut self, nodes: &[NodeStatus], found: &Nodes<'_>) {
        for node in nodes {
            if let Some(known) = self.nodes.iter_mut().find(|known| known.id == node.id) {
                known.version.clone_from(&node.version);
                continue;
            }
            self.nodes.push(NodeRecord {
                id: node.id,
                name: node.name.clone(),
                role: node.role.clone(),
                action: Action::Unchanged,
                before: found.found(node.id).and_then(|found| found.discod()).map(str::to_owned),
                took: None,
                version: node.version.clone(),
            });
        }
    }

    /// Notes what became of a node, behind those that were done before.
    pub(super) fn done(&mut self, id: u64, action: Action, took: Duration, version: Option<&str>) {
        let Some(at) = self.nodes.iter().position(|node| node.id == id) else { return };
        let node = &mut self.nodes[at];
        let first = node.action == Action::Unchanged;
        node.action = action;
        node.took = Some(took).filter(|took| !took.is_zero());
        if let Some(version) = version {
            version.clone_into(&mut node.version);
        }
        if first {
            let node = self.nodes.remove(at);
            let done = self.nodes.iter().take_while(|node| node.action != Action::Unchanged).count();
            self.nodes.insert(done, node);
        }
    }

    /// Whether anything was done to a node.
    pub(crate) fn changed(&self) -> bool {
        self.nodes.iter().any(|node| node.action != Action::Unchanged)
    }

    /// Whether what was done was taken back.
    pub(crate) fn rolled_back(&self) -> bool {
        let mut done = self.nodes.iter().filter(|node| node.action != Action::Unchanged).peekable();
        done.peek().is_some() && done.all(|node| node.action == Action::RolledBack)
    }
}
