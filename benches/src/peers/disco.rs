use std::path::PathBuf;

use anyhow::Result;
use disco_tests::{Api, RawCluster};

use super::Peer;

/// `discod` processes.
pub(super) struct Discod {
    cluster: RawCluster,
    api: Api,
}

impl Discod {
    pub(super) fn start(pace: &str, nodes: usize) -> Self {
        let cluster = RawCluster::at_pace(pace, nodes);
        let api = cluster.operator();
        Self { cluster, api }
    }
}

impl Peer for Discod {
    fn endpoints(&self) -> Vec<String> {
        self.cluster.addresses()
    }

    fn api(&self) -> &Api {
        &self.api
    }

    fn pids(&self) -> Vec<u32> {
        self.cluster.nodes.iter().map(disco_tests::RawNode::pid).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.cluster.nodes.iter().map(|node| node.data.clone()).collect()
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        self.cluster.nodes[node].kill();
        Ok(())
    }

    fn start(&mut self, node: usize) -> Result<()> {
        self.cluster.nodes[node].start();
        Ok(())
    }
}
