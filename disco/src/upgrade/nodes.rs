use std::collections::BTreeMap;

use disco_planner::upgrade::Node;
use disco_proto::v1::NodeStatus;
use disco_provider::{
    Instance,
    install::{Installation, Permitted, Remote},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Upgrade;
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
    founding::{TaskProgress, install_failure},
};

/// Machines that are looked at, or sent to, at once.
const AT_ONCE: usize = 8;
/// Entries of the log that a node may lack and still count as caught up: what comes in during a round trip or two. As the
/// cluster's own measure for learners.
const LAG: u64 = 100;

/// What is known of the nodes' machines.
pub(super) struct Nodes<'a> {
    upgrade: &'a Upgrade,
    machines: Vec<Instance>,
    found: BTreeMap<u64, Installation>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(upgrade: &'a Upgrade) -> Self {
        Self { upgrade, machines: Vec::new(), found: BTreeMap::new() }
    }

    /// What is installed on a node, once it was looked at.
    pub(super) fn found(&self, id: u64) -> Option<&Installation> {
        self.found.get(&id)
    }

    pub(super) fn set(&mut self, id: u64, found: Installation) {
        self.found.insert(id, found);
    }

    /// A node on which the upgrade was begun, as far as is known.
    pub(super) fn is_unfinished(&self, id: u64) -> bool {
        self.found.get(&id).is_some_and(|found| found.unfinished)
    }

    /// Looks at the machines of nodes that are not known yet. Those that are down and cannot be reached stay unknown: the
    /// planner has its say on them.
    pub(super) async fn look(&mut self, nodes: &[NodeStatus]) -> Outcome<()> {
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

    /// Sends the binaries to all nodes that lack them. Where only the client is another one it takes its place at once.
    pub(super) async fn send(&mut self, nodes: &[NodeStatus]) -> Outcome<()> {
        let this = &*self;
        let binaries = &this.upgrade.binaries;
        let lacking = nodes.iter().filter_map(|node| Some((node, this.found.get(&node.id)?)));
        // Who has received them and is to be restarted has its turn later.
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

    /// The way to a node's machine.
    pub(super) async fn connect(&self, node: &NodeStatus) -> Outcome<Permitted> {
        let machine = self.machines.iter().find(|machine| machine.id == node.instance);
        let machine = machine.ok_or_else(|| {
            Failure::new(ExitStatus::NotFound, format!("the provider has no machine for `{}`", node.name))
                .hint(format!("install it there yourself, or remove the node: `disco node rm {}`", node.name))
        })?;
        let session = self.upgrade.machines.connect(machine).await?;
        let failed = |error| install_failure(&node.name, &error);
        let remote = Remote::probe(session).await.map_err(failed)?;
        remote.permit(self.upgrade.machines.owner()).await.map_err(failed)
    }

    /// The nodes as the planner sees them.
    pub(super) fn planned(&self, nodes: &[NodeStatus]) -> Vec<Node> {
        let planned = nodes.iter().map(|node| Node {
            id: node.id,
            voter: node.role != "learner",
            leader: node.role == "leader",
            healthy: is_well(node, nodes),
            new: self.found(node.id).is_some_and(|found| found.runs(&self.upgrade.binaries)),
            unfinished: self.is_unfinished(node.id),
        });
        planned.collect()
    }

    /// Ids of nodes on whose machines something of the upgrade is left.
    pub(super) fn with_leftovers(&self) -> Vec<u64> {
        self.found.iter().filter(|(_, found)| found.has_leftovers()).map(|(id, _)| *id).collect()
    }
}

/// Healthy, and with all of the log but what is under way.
pub(super) fn is_well(node: &NodeStatus, all: &[NodeStatus]) -> bool {
    node.healthy && !node.draining && lag(node, all).is_none()
}

/// What a node lacks, in words; `None` where it has caught up. A leader of an older version does not tell: then its word that
/// the node is healthy has to do.
pub(super) fn lag(node: &NodeStatus, all: &[NodeStatus]) -> Option<String> {
    let told = all.iter().any(|node| node.role == "leader" && node.behind.is_some());
    match node.behind {
        Some(behind) if behind <= LAG => None,
        Some(behind) => Some(format!("it lacks {behind} entries of the log")),
        None if told => Some("the leader does not know yet what it has of the log".to_owned()),
        None => None,
    }
}
