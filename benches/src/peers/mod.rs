//! Clusters of either system, with one interface.

mod disco;
mod etcd;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use disco_proto::etcdserverpb::StatusRequest;
use disco_proto::etcdserverpb::kv_client::KvClient;
use disco_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use disco_tests::{Api, block, look_for};
use serde::Serialize;
use tonic::transport::Channel;

/// Time limit for a cluster to elect a leader.
const WHOLE: Duration = Duration::from_secs(60);

/// The system of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum System {
    /// `discod`.
    Disco,
    /// `etcd` on the path.
    Etcd,
}

/// The interface of a system's cluster.
pub(crate) trait Peer {
    /// `IP:PORT` for clients, one for each node.
    fn endpoints(&self) -> Vec<String>;
    /// Connections as its operator.
    fn api(&self) -> &Api;
    /// Each node's process.
    fn pids(&self) -> Vec<u32>;
    /// Each node's data folder.
    fn folders(&self) -> Vec<PathBuf>;
    /// Kills a node with `kill -9`, and returns when it has ended.
    fn kill(&mut self, node: usize) -> Result<()>;
    /// Starts a killed node again, with its data.
    fn start(&mut self, node: usize) -> Result<()>;
}

/// A cluster; it ends when dropped.
pub(crate) struct Cluster {
    peer: Box<dyn Peer>,
}

// === impl System ===

impl System {
    /// Checks that its program exists.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Disco => Ok(()),
            Self::Etcd => etcd::version().map(|version| eprintln!("{version}")),
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disco => "disco",
            Self::Etcd => "etcd",
        })
    }
}

// === impl Cluster ===

impl Cluster {
    /// Starts new nodes, and waits until they have elected a leader. `pace` applies to `discod`.
    pub(crate) fn start(system: System, pace: &str, nodes: usize) -> Result<Self> {
        let peer: Box<dyn Peer> = match system {
            System::Disco => Box::new(disco::Discod::start(pace, nodes)),
            System::Etcd => Box::new(etcd::Etcd::start(nodes)?),
        };
        let cluster = Self { peer };
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// The system's own interface.
    pub(crate) fn peer(&mut self) -> &mut dyn Peer {
        self.peer.as_mut()
    }

    /// Its number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        self.peer.endpoints().len()
    }

    /// Each node's process.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.peer.pids()
    }

    /// Each node's data folder.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.peer.folders()
    }

    /// One new connection to a node.
    pub(crate) fn channel(&self, node: usize) -> Channel {
        let endpoints = self.peer.endpoints();
        self.peer.api().channel(&endpoints[node % endpoints.len()])
    }

    /// Key-value clients on `count` separate connections, one node after the other, beginning with the leader, so that a
    /// single client does not depend on the election.
    pub(crate) fn clients(&self, count: usize) -> Result<Vec<KvClient<Channel>>> {
        let leader = self.leader()?;
        Ok((0..count).map(|node| KvClient::new(self.channel(leader + node))).collect())
    }

    /// The leader, if all nodes agree.
    pub(crate) fn leader(&self) -> Result<usize> {
        let mut leads = None;
        for node in 0..self.nodes() {
            let status = block(async {
                let mut maintenance = MaintenanceClient::new(self.channel(node));
                tokio::time::timeout(Duration::from_secs(2), maintenance.status(StatusRequest {})).await
            })??
            .into_inner();
            let own = status.header.map_or(0, |header| header.member_id);
            if status.leader == 0 {
                bail!("node {node} knows no leader");
            }
            if status.leader == own && leads.replace(node).is_some() {
                bail!("two nodes claim to lead");
            }
        }
        leads.ok_or_else(|| anyhow::anyhow!("no node claims to lead"))
    }

    /// Waits until every node answers and knows the leader, and returns that.
    pub(crate) fn wait_until_whole(&self) -> Result<usize> {
        look_for(WHOLE, || self.leader()).context("the cluster has no leader that all nodes know")
    }
}
