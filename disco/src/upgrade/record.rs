use std::time::Duration;

use disco_proto::v1::NodeStatus;
use disco_provider::install::Binaries;

use super::nodes::Nodes;

/// The outcome of an upgrade.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) dry_run: bool,
    /// Checksum of the new `discod`.
    pub(crate) binary: String,
    /// In the order in which they were processed, followed by those that were skipped.
    pub(crate) nodes: Vec<NodeOutcome>,
}

/// The outcome for one node.
#[derive(Clone, Debug)]
pub(crate) struct NodeOutcome {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Its role at the start.
    pub(crate) role: String,
    pub(crate) action: Action,
    /// Checksum of the `discod` that was installed at the start, if its machine was inspected.
    pub(crate) before: Option<String>,
    /// From its restart until it was healthy and had caught up.
    pub(crate) took: Option<Duration>,
    /// The version that it reports at the end.
    pub(crate) version: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Already had the new binary, or was not processed.
    Unchanged,
    /// Runs the new binary.
    Replaced,
    /// Did not come back, and was left as it is.
    Failed,
    /// Runs the previous binary again.
    RolledBack,
}

impl Record {
    pub(super) fn new(binaries: &Binaries) -> Self {
        Self { dry_run: false, binary: binaries.discod.sha256().to_owned(), nodes: Vec::new() }
    }

    /// Adds the nodes that are not recorded yet.
    pub(super) fn begin(&mut self, nodes: &[NodeStatus], found: &Nodes<'_>) {
        for node in nodes {
            if let Some(known) = self.nodes.iter_mut().find(|known| known.id == node.id) {
                known.version.clone_from(&node.version);
                continue;
            }
            self.nodes.push(NodeOutcome {
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

    /// Records the outcome for a node, after those that were processed before.
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

    /// Whether any node was changed.
    pub(crate) fn changed(&self) -> bool {
        self.nodes.iter().any(|node| node.action != Action::Unchanged)
    }

    /// Whether all changes were rolled back.
    pub(crate) fn rolled_back(&self) -> bool {
        let mut done = self.nodes.iter().filter(|node| node.action != Action::Unchanged).peekable();
        done.peek().is_some() && done.all(|node| node.action == Action::RolledBack)
    }
}
