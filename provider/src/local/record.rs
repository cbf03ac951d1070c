//! The immutable record of a machine: `machine.json`.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The immutable record of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineRecord {
    /// Its id, also the name of its folder.
    pub(crate) id: String,
    /// Its number in the order of creation; ids and numbers are never reused.
    pub(crate) number: u64,
    /// Its display name.
    pub(crate) name: String,
    /// The token of its start request.
    pub(crate) token: String,
    /// The id of its cluster; empty if an older build made it.
    #[serde(default)]
    pub(crate) cluster_id: String,
    /// That cluster's display name.
    #[serde(default)]
    pub(crate) cluster: String,
    /// Its address.
    pub(crate) address: IpAddr,
    /// The port of its SSH server.
    pub(crate) ssh_port: u16,
    /// The port for `discod`.
    pub(crate) control_port: u16,
    /// The login user.
    pub(crate) user: String,
    /// Its public SSH host key in OpenSSH's form.
    pub(crate) host_key: String,
}

impl MachineRecord {
    /// The name of the file.
    pub(crate) const FILE: &str = "machine.json";

    /// The address of its SSH server.
    pub(crate) fn ssh_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.ssh_port)
    }

    /// The address for `discod`.
    pub(crate) fn control_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.control_port)
    }

    /// Whether it is a machine of this cluster, as far as is known. `None` stands for a cluster whose id is lost.
    pub(crate) fn is_of(&self, cluster_id: Option<&str>) -> bool {
        self.cluster_id.is_empty() || cluster_id.is_none_or(|id| id == self.cluster_id)
    }
}
