use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::StateDir;
use crate::error::Outcome;

const FILE: &str = "addresses.json";

/// The nodes seen last: where the next command asks. Only a cache; any one of them is enough.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Addresses {
    pub(crate) nodes: Vec<KnownNode>,
    /// How many nodes there were to be.
    // Earlier versions read and write the field by this name.
    #[serde(default, rename = "wished", skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<u32>,
    /// How many the script's bootstrap had asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script_nodes: Option<u32>,
}

/// A node as it was seen last.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct KnownNode {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// From outside, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public: Option<IpAddr>,
    /// The provider's id of its machine, empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) instance: String,
    /// `user@host:port` where that answers SSH, where the cluster has said so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) ssh: String,
}

impl KnownNode {
    /// Where it is reached from outside.
    pub(crate) fn outer(&self) -> SocketAddr {
        self.public.map_or(self.address, |public| SocketAddr::new(public, self.address.port()))
    }
}

impl Addresses {
    /// All, in the order in which they are tried: those from outside first, the nodes' own after them, as one may work in
    /// their network.
    pub(crate) fn all(&self) -> Vec<SocketAddr> {
        let outer = self.nodes.iter().map(KnownNode::outer);
        let inner = self.nodes.iter().filter(|node| node.public.is_some()).map(|node| node.address);
        outer.chain(inner).collect()
    }

    /// The nodes that were made last.
    pub(crate) fn youngest(&self, count: usize) -> Vec<&KnownNode> {
        let mut nodes: Vec<&KnownNode> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| std::cmp::Reverse(node.id));
        nodes.truncate(count);
        nodes
    }

    pub(crate) fn load(state: &StateDir) -> Outcome<Self> {
        Ok(state.read_json(FILE)?.unwrap_or_default())
    }

    /// Written only when something changed, and only where the project has state.
    pub(crate) fn save(&self, state: &StateDir) -> Outcome<()> {
        if !state.exists() || Self::load(state).is_ok_and(|known| known == *self) {
            return Ok(());
        }
        state.write_json(FILE, self)
    }
}
