//! What does not change about a machine: `machine.json`.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What does not change about a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineRecord {
    /// Its id, also the name of its folder.
    pub(crate) id: String,
    /// Its place in the order of making; ids and numbers are never used again.
    pub(crate) number: u64,
    /// Its name for people.
    pub(crate) name: String,
    /// The token it was asked for with.
    pub(crate) token: String,
    /// The id of the cluster that it belongs to; empty where an older build made it.
    #[serde(default)]
    pub(crate) cluster_id: String,
    /// That cluster's name, for people.
    #[serde(default)]
    pub(crate) cluster: String,
    /// Its address.
    pub(crate) address: IpAddr,
    /// Where it answers SSH.
    pub(crate) ssh_port: u16,
    /// Where `discod` shall listen on it.
    pub(crate) control_port: u16,
    /// Who may log in.
    pub(crate) user: String,
    /// Its public SSH host key in OpenSSH's form.
    pub(crate) host_key: String,
}

impl MachineRecord {
    /// The name of the file.
    pub(crate) const FILE: &str = "machine.json";

    /// Where it answers SSH.
    pub(crate) fn ssh_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.ssh_port)
    }

    /// Where `discod` shall listen on it.
    pub(crate) fn control_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.control_port)
    }

    /// Whether it is a machine of this cluster, as far as can be known. `None` stands for a cluster whose id is lost.
    pub(crate) fn is_of(&self, cluster_id: Option<&str>) -> bool {
        self.cluster_id.is_empty() || cluster_id.is_none_or(|id| id == self.cluster_id)
    }
}
