use std::collections::BTreeMap;

use disco_planner::upgrade::Node;
use disco_proto::v1::NodeStatus;
use disco_provider::{
    Machine,
    install::{Installation, Permitted, Remote},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Upgrade;
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{TaskProgress, install_failure},
};

/// Number of machines that are inspected, or uploaded to, at once.
const AT_ONCE: usize = 8;
/// Log entries that a node may lack and still count as caught up: what arrives within a round trip or two. The same limit as the
/// cluster's for learners.
const LAG: u64 = 100;

/// The state of the nodes' machines.
pub(super) struct Nodes<'a> {
    upgrade: &'a Upgrade,
    machines: Vec<Machine>,
    found: BTreeMap<u64, Installation>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(upgrade: &'a Upgrade) -> Self {
        Self { upgrade, machines: Vec::new(), found: BTreeMap::new() }
    }

    /// What is installed on a node, if it was inspected.
    pub(super) fn found(&self, id: u64) -> Option<&Installation> {
        self.found.get(&id)
    }

    pub(super) fn set(&mut self, id: u64, found: Installation) {
        self.found.insert(id, found);
    }

    /// Whether the upgrade was started on this node and not finished.
    pub(super) fn is_unfinished(&self, id: u64) -> bool {
        self.found.get(&id).is_some_and(|found| found.unfinished)
    }

    /// Inspects the machines of nodes that were not inspected yet. Unreachable machines of unhealthy nodes stay unknown: the
    /// planner decides about them.
    pub(super) async fn inspect(&mut self, nodes: &[NodeStatus]) -> Outcome<()> {
        let new: Vec<&NodeStatus> = nodes.iter().filter(|node| !self.found.contains_key(&node.id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.machines = self.upgrade.machines.list().await?;
        let this = &*self;
        let looks = new.into_iter().map(|node| async move {
            let remote = match this.connect(node).await {
                Ok(remote) => remote,
                Err(_) if !node.healthy => return Ok(None),
                Err(failure) => return Err(failure),
            };
            let found = remote.installation().await.map_err(|error| install_failure(&node.name, &error))?;
            Ok(Some((node.id, found)))
        });
        let found: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
        self.found.extend(found.into_iter().flatten());
        Ok(())
    }

    /// Uploads the binaries to all nodes that lack them. If only the client binary differs, replaces it at once.
    pub(super) async fn send(&mut self, nodes: &[NodeStatus]) -> Outcome<()> {
        let this = &*self;
        let binaries = &this.upgrade.binaries;
        let lacking = nodes.iter().filter_map(|node| Some((node, this.found.get(&node.id)?)));
        // A node that has received them and only needs a restart is handled later.
        let lacking = lacking.filter(|(_, found)| match found.runs(binaries) {
            true => !found.has_both(binaries),
            false => !found.has_received(binaries),
        });
        let sends = lacking.map(|(node, found)| async move {
            let failed = |error| install_failure(&node.name, &error);
            let task = this.upgrade.context.printer.task(&node.name);
            task.state("connecting");
            let remote = this.connect(node).await?;
            let client_alone = found.runs(binaries);
            let mut found = remote.stage(binaries, found, &TaskProgress { task: &task }).await.map_err(failed)?;
            if client_alone {
                remote.switch_client().await.map_err(failed)?;
                found = remote.installation().await.map_err(failed)?;
            }
            task.done(if client_alone { "has the new client" } else { "has received the new binaries" });
            Ok::<_, Failure>((node.id, found))
        });
        let found: Vec<_> = stream::iter(sends).buffer_unordered(AT_ONCE).try_collect().await?;
        self.found.extend(found);
        Ok(())
    }

    /// Connects to a node's machine.
    pub(super) async fn connect(&self, node: &NodeStatus) -> Outcome<Permitted> {
        let machine = self.machines.iter().find(|machine| machine.id == node.instance);
        let machine = machine.ok_or_else(|| {
            Failure::new(ExitStatus::NotFound, format!("the provider has no machine for `{}`", node.name))
                .hint(format!("install the binaries there yourself, or remove the node: `disco node rm {}`", node.name))
        })?;
        let session = self.upgrade.machines.connect(machine).await?;
        let failed = |error| install_failure(&node.name, &error);
        let remote = Remote::probe(session).await.map_err(failed)?;
        remote.permit(self.upgrade.machines.owner()).await.map_err(failed)
    }

    /// The nodes as input for the planner.
    pub(super) fn planned(&self, nodes: &[NodeStatus]) -> Vec<Node> {
        let planned = nodes.iter().map(|node| Node {
            id: node.id,
            voter: node.role != "learner",
            leader: node.role == "leader",
            healthy: is_ready(node, nodes),
            new: self.found(node.id).is_some_and(|found| found.runs(&self.upgrade.binaries)),
            unfinished: self.is_unfinished(node.id),
        });
        planned.collect()
    }

    /// Ids of nodes with leftovers of the upgrade on their machines.
    pub(super) fn with_leftovers(&self) -> Vec<u64> {
        self.found.iter().filter(|(_, found)| found.has_leftovers()).map(|(id, _)| *id).collect()
    }
}

/// Whether a node is healthy and has caught up with the log.
pub(super) fn is_ready(node: &NodeStatus, all: &[NodeStatus]) -> bool {
    node.healthy && !node.draining && lag(node, all).is_none()
}

/// What a node lacks, in words; `None` if it has caught up. A leader of an older version does not report the lag: then only the
/// node's health counts.
pub(super) fn lag(node: &NodeStatus, all: &[NodeStatus]) -> Option<String> {
    let reported = all.iter().any(|node| node.role == "leader" && node.behind.is_some());
    match node.behind {
        Some(behind) if behind <= LAG => None,
        Some(behind) => Some(format!("it is {behind} entries behind the log")),
        None if reported => Some("the leader does not know yet how far behind the log it is".to_owned()),
        None => None,
    }
}
