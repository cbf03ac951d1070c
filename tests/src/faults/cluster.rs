use std::fs;
use std::time::Duration;

use disco_proto::v1::{MoveLeaderRequest, RemoveNodeRequest, StatusResponse};
use rustix::process::Signal;
use tokio_stream::StreamExt;

use super::clock::Clock;
use super::network::Network;
use crate::project::tail;
use crate::{Api, RawCluster, RawNode, Tmpfs, block, free_ip, look_for};

/// The size of a node's disk.
const DISK: u64 = 128 << 20;
/// Time for a cluster to be whole again, on a busy machine.
const WHOLE: Duration = Duration::from_secs(90);

/// A cluster to which faults can be applied.
pub(super) struct Cluster {
    pub(super) raw: RawCluster,
    pub(super) api: Api,
    pub(super) network: Option<Network>,
    pub(super) clocks: Vec<Clock>,
    disks: Vec<Option<Tmpfs>>,
    pub(super) kills: u64,
}

impl Cluster {
    /// A healthy cluster; with a network and a disk for each node, if this process is isolated.
    #[must_use]
    pub(super) fn with_nodes(count: usize, isolated: bool) -> Self {
        let raw = RawCluster::empty();
        let api = raw.operator();
        let network = isolated.then(Network::new);
        let mut cluster = Self { raw, api, network, clocks: Vec::new(), disks: Vec::new(), kills: 0 };
        let mark = cluster.raw.folder().canonicalize().unwrap();
        for index in 0..count {
            let ip = match &mut cluster.network {
                Some(network) => {
                    network.add(&mark);
                    network.ip(index)
                }
                None => free_ip(),
            };
            let mut node = cluster.raw.node_at(ip);
            if let Some(network) = &cluster.network {
                node.through = network.through(index);
            }
            let (clock, environment) = Clock::new(mark.join(format!("clock-{index}")));
            node.env = environment;
            cluster.clocks.push(clock);
            let disk = if isolated { Tmpfs::mount(&node.data, DISK) } else { None };
            cluster.disks.push(disk);
            if index == 0 { cluster.raw.begin(node) } else { cluster.raw.join_as(node) }
        }
        cluster
    }

    /// Waits until all nodes are healthy voters, and no node knows of an unfinished membership change.
    ///
    /// # Errors
    /// What was seen last.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let whole = look_for(WHOLE, || match self.crashed() {
            Ok(()) => self.whole().map(Ok),
            // Waiting would not restart it.
            Err(crashed) => Ok(Err(crashed)),
        });
        whole.unwrap_or_else(|last| {
            Err(format!("the cluster is not whole {WHOLE:?} after the faults: {last}\n{}", self.raw.logs()))
        })
    }

    /// Whether the leader reports all nodes as healthy voters, and no node knows of an unfinished membership change: a fault that
    /// destroys a log or a disk could destroy the only vote for such a change.
    fn whole(&self) -> Result<(), String> {
        let addresses = self.raw.addresses();
        let mut last = "no node was asked".to_owned();
        let led = addresses.iter().find_map(|address| match self.api.status(address) {
            Ok(status) if status.stale || status.leader == 0 => {
                last = format!("{address} knows of no leader: {status:#?}");
                None
            }
            Ok(status) => Some(status),
            Err(status) => {
                last = format!("{address}: {status}");
                None
            }
        });
        let led = led.ok_or(last)?;
        let own = addresses.iter().map(|address| match self.api.own_status(address) {
            Ok(status) => Ok((address.clone(), status)),
            Err(status) => Err(format!("{address}: {status}")),
        });
        let own = own.collect::<Result<Vec<_>, _>>()?;
        match unsettled(&led, &own) {
            None => Ok(()),
            Some(why) => Err(format!("{why}: {led:#?}")),
        }
    }

    /// Whether a node has ended by itself.
    pub(super) fn crashed(&mut self) -> Result<(), String> {
        for node in &mut self.raw.nodes {
            if !node.runs() {
                return Err(format!("the node at {} has ended by itself:\n{}", node.address, tail(&node.log())));
            }
        }
        Ok(())
    }

    /// Index of the leader, as one of the nodes knows it.
    pub(super) fn leader(&self) -> Option<usize> {
        let leader = self.raw.addresses().iter().find_map(|address| {
            let status = self.api.status(address).ok()?;
            status.nodes.iter().find(|node| node.id == status.leader).map(|node| node.address.clone())
        })?;
        self.raw.addresses().iter().position(|address| *address == leader)
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, node: usize) {
        self.raw.nodes[node].kill();
        self.kills += 1;
    }

    pub(super) fn start(&mut self, node: usize) {
        self.raw.nodes[node].start();
    }

    pub(super) fn signal(&self, node: usize, signal: Signal) {
        self.raw.nodes[node].signal(signal);
    }

    /// The node's disk, if it has its own.
    pub(super) fn disk(&self, node: usize) -> Option<&Tmpfs> {
        self.disks[node].as_ref()
    }

    /// A killed node gets another address.
    pub(super) fn relocate(&mut self, node: usize) {
        let ip = match &mut self.network {
            Some(network) => network.relocate(node),
            None => free_ip(),
        };
        self.raw.nodes[node].set_ip(ip);
    }

    /// Transfers leadership to a node that is up to date.
    pub(super) fn move_leader(&self) {
        let mut control = self.api.control(&self.raw.addresses()[0]);
        // It may be refused or time out during other faults.
        let moved = block(tokio_timeout(control.move_leader(MoveLeaderRequest { to: 0 })));
        drop(moved);
    }

    /// Replaces a killed node by a new one with an empty disk.
    ///
    /// # Errors
    /// Which step was not done.
    pub(super) fn replace(&mut self, node: usize) -> Result<(), String> {
        let id = node_id(&self.raw.nodes[node])?;
        let others: Vec<String> =
            self.raw.addresses().into_iter().enumerate().filter(|(index, _)| *index != node).map(|(_, a)| a).collect();
        let mut turn = others.iter().cycle();
        look_for(WHOLE, || self.remove(turn.next().ok_or("there is no other node")?, id))
            .map_err(|error| format!("node {id} was not removed: {error}"))?;
        let raw = &mut self.raw.nodes[node];
        for entry in fs::read_dir(&raw.data).map_err(|error| error.to_string())?.flatten() {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let token = self.raw.token(120, 1);
        self.raw.nodes[node].set_token(&token);
        self.raw.nodes[node].start();
        Ok(())
    }

    fn remove(&self, address: &str, id: u64) -> Result<(), String> {
        let mut control = self.api.control(address);
        let request = RemoveNodeRequest { node_id: id, detach: false, force: true };
        block(tokio_timeout(async {
            let mut steps = match control.remove_node(request).await {
                Ok(steps) => steps.into_inner(),
                Err(status) if status.code() == tonic::Code::NotFound => return Ok(Ok(())),
                Err(status) => return Err(status),
            };
            let mut last = Err("no step".to_owned());
            while let Some(step) = steps.next().await {
                let step = step?;
                last = if step.error.is_empty() { Ok(()) } else { Err(step.error) };
            }
            Ok(last)
        }))
        .map_err(|status| status.to_string())?
    }
}

/// Why a cluster is not whole, from the leader's status and each node's own view.
fn unsettled(led: &StatusResponse, own: &[(String, StatusResponse)]) -> Option<String> {
    if led.nodes.len() != own.len() {
        return Some(format!("{} of {} nodes are members", led.nodes.len(), own.len()));
    }
    if let Some(node) = led.nodes.iter().find(|node| !node.healthy || node.role == "learner") {
        return Some(format!("node {} at {} is not healthy or has no vote", node.id, node.address));
    }
    let unknown = |address: &String| !led.nodes.iter().any(|node| node.address == *address);
    if let Some((address, _)) = own.iter().find(|(address, _)| unknown(address)) {
        return Some(format!("{address} is not a member's address"));
    }
    let changing = |status: &StatusResponse| status.changing || status.nodes.iter().any(|node| node.role == "learner");
    if led.changing {
        return Some("the members are being changed".to_owned());
    }
    let (address, _) = own.iter().find(|(_, status)| changing(status))?;
    Some(format!("{address} knows of an unfinished membership change"))
}

/// The node's id, from its data folder.
fn node_id(node: &RawNode) -> Result<u64, String> {
    let path = node.data.join("node.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    value["node_id"].as_u64().ok_or_else(|| "no id in node.json".to_owned())
}

async fn tokio_timeout<T>(work: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, tonic::Status> {
    let limit = Duration::from_secs(15);
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no answer")))
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::NodeStatus;

    use super::*;

    const ADDRESSES: [&str; 3] = ["a", "b", "c"];

    fn status() -> StatusResponse {
        let node = |(id, address): (u64, &str)| NodeStatus {
            id,
            address: address.to_owned(),
            role: "voter".to_owned(),
            healthy: true,
            ..NodeStatus::default()
        };
        StatusResponse { leader: 1, nodes: (1..).zip(ADDRESSES).map(node).collect(), ..StatusResponse::default() }
    }

    #[test]
    fn a_change_that_any_node_knows_of_is_waited_for() {
        let own = || ADDRESSES.map(|address| (address.to_owned(), status()));
        assert_eq!(unsettled(&status(), &own()), None);
        assert!(unsettled(&StatusResponse { changing: true, ..status() }, &own()).is_some());
        for (index, address) in ADDRESSES.into_iter().enumerate() {
            let mut joint = own();
            joint[index].1.changing = true;
            let why = unsettled(&status(), &joint).unwrap();
            assert!(why.starts_with(address), "{why}");
            // One that was promised a vote has none yet, as one node still knows it.
            let mut promised = own();
            promised[index].1.nodes[2].role = "learner".to_owned();
            assert!(unsettled(&status(), &promised).is_some());
            let mut ill = status();
            ill.nodes[index].healthy = false;
            assert!(unsettled(&ill, &own()).is_some());
        }
        assert!(unsettled(&status(), &own()[..2]).is_some());
    }
}
