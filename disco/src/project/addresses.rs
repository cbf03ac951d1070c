use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::StateDir;
use crate::error::Outcome;

const FILE: &str = "addresses.json";

/// The last known nodes, to which the next command connects. Only a cache; any one of them is enough.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Addresses {
    pub(crate) nodes: Vec<KnownNode>,
    /// The last known target size.
    // Earlier versions read and write the field by this name.
    #[serde(default, rename = "wished", skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<u32>,
    /// The number that the script's bootstrap last requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script_nodes: Option<u32>,
}

/// The last known state of a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct KnownNode {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// Its public address, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public: Option<IpAddr>,
    /// The provider's id of its machine; empty if it has none.
    #[serde(default, rename = "instance", skip_serializing_if = "String::is_empty")]
    pub(crate) machine: String,
    /// `user@host:port` of its machine's SSH server, if the cluster reported it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) ssh: String,
}

impl KnownNode {
    /// The address for clients outside of the cluster's network.
    pub(crate) fn outer(&self) -> SocketAddr {
        self.public.map_or(self.address, |public| SocketAddr::new(public, self.address.port()))
    }
}

impl Addresses {
    /// All addresses in the order in which they are tried: the public ones first, then the nodes' own, for an operator in the
    /// cluster's network.
    pub(crate) fn all(&self) -> Vec<SocketAddr> {
        let outer = self.nodes.iter().map(KnownNode::outer);
        let inner = self.nodes.iter().filter(|node| node.public.is_some()).map(|node| node.address);
        outer.chain(inner).collect()
    }

    /// The newest nodes.
    pub(crate) fn youngest(&self, count: usize) -> Vec<&KnownNode> {
        let mut nodes: Vec<&KnownNode> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| std::cmp::Reverse(node.id));
        nodes.truncate(count);
        nodes
    }

    pub(crate) fn load(state: &StateDir) -> Outcome<Self> {
        Ok(state.read_json(FILE)?.unwrap_or_default())
    }

    /// Saves the addresses if they changed and the project has a state folder.
    pub(crate) fn save(&self, state: &StateDir) -> Outcome<()> {
        if !state.exists() || Self::load(state).is_ok_and(|known| known == *self) {
            return Ok(());
        }
        state.write_json(FILE, self)
    }
}
