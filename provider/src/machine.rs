//! A machine of a provider.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ssh::{ConnectOptions, HostKeyPolicy};
use crate::{ProviderError, Usd};

/// A machine of a provider. It is stored in the cluster's state, so fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The provider's id for it, unique within the provider, never reused for another machine.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The token that it was started with, see [`crate::StartRequest::token`].
    pub token: String,
    /// Its state at the time of the request.
    pub state: MachineState,
    /// Its SSH server.
    pub ssh: SshTarget,
    /// The name by which the operator's SSH configuration knows it, if that gives it the address in `ssh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_name: Option<String>,
    /// How other nodes reach `discod` on it. Unspecified if unknown because its name has no address now.
    pub control_address: SocketAddr,
    /// The address to which `discod` binds, if the script sets it, see [`crate::install::Remote::listen_address`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The address by which it is reached from outside, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_address: Option<IpAddr>,
    /// Its SSH host key in OpenSSH's public form (`ssh-ed25519 AAAA…`), if the provider knows it beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// The host key in its user data, in the same form; an image may have ignored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_host_key: Option<String>,
    /// The process that is this machine, for the local provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The availability zone, if there are zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its price per hour, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Usd>,
}

impl Machine {
    /// The host keys that are accepted from it. `known_hosts` stores those that are trusted on first use.
    #[must_use]
    pub fn host_key_policy(&self, known_hosts: PathBuf) -> HostKeyPolicy {
        match (&self.host_key, &self.given_host_key) {
            (Some(key), _) => HostKeyPolicy::Pinned(key.clone()),
            (None, Some(key)) => HostKeyPolicy::Given { key: key.clone(), machine: self.id.clone(), file: known_hosts },
            // The script has another address than before: the key shows whether it is the same machine.
            (None, None) if self.id != self.ssh.endpoint() => match crate::hosts::parse_host(&self.id) {
                Ok(before) => HostKeyPolicy::Moved { before, file: known_hosts },
                Err(_) => HostKeyPolicy::KnownHosts { file: known_hosts, pin_first: true },
            },
            (None, None) => HostKeyPolicy::KnownHosts { file: known_hosts, pin_first: true },
        }
    }

    /// How patiently to connect to it, if it is not booting.
    #[must_use]
    pub fn connect_options(&self) -> ConnectOptions {
        // Only machines on this computer have a host key that their provider knows.
        if self.host_key.is_some() { ConnectOptions::on_this_computer() } else { ConnectOptions::default() }
    }

    /// The addresses by which operators reach it, the outside one first.
    #[must_use]
    pub fn control_addresses(&self) -> Vec<SocketAddr> {
        let public = self.public_address.map(|public| SocketAddr::new(public, self.control_address.port()));
        let all = public.into_iter().chain([self.control_address]);
        all.filter(|address| !address.ip().is_unspecified()).collect()
    }
}

/// The state of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineState {
    /// It was requested and is not up yet.
    Pending,
    /// It is up. Its SSH server may still need a moment.
    Running,
    /// It is down, and starting it again brings it back with its disk and address.
    Stopped,
    /// It was terminated.
    Terminated,
    /// The provider no longer knows the machine.
    Gone,
}

impl MachineState {
    /// The word used in JSON and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Terminated => "terminated",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The SSH server of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SshTarget {
    /// The user to log in as.
    pub user: String,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, 22 on most machines.
    pub port: u16,
}

impl SshTarget {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn endpoint(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Parses `user@host:port`; user and port are optional.
impl FromStr for SshTarget {
    type Err = ProviderError;

    fn from_str(text: &str) -> Result<Self, ProviderError> {
        crate::hosts::parse_host(text)
    }
}

/// `user@host:port`.
impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.endpoint())
    }
}
