//! A machine as its provider sees it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ssh::HostKeyPolicy;
use crate::{ProviderError, Usd};

/// A machine as its provider sees it. It is stored in the cluster's state, so fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The provider's name for it, unique within the provider, never used again for another machine.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The token that it was started with, see [`crate::StartRequest::token`].
    pub token: String,
    /// What it is doing, at the time of asking.
    pub state: InstanceState,
    /// Where it answers SSH.
    pub ssh: SshTarget,
    /// How other nodes reach `discod` on it. Unspecified where that is not known, as its name has no address now.
    pub control_address: SocketAddr,
    /// Where `discod` shall bind on it, where the script says so, see [`crate::install::Remote::listen_address`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The address by which it is reached from outside, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_address: Option<IpAddr>,
    /// Its SSH host key in OpenSSH's public form (`ssh-ed25519 AAAA…`), where the provider knows it beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// The host key that it was given at its start, in the same form; an image may have ignored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_host_key: Option<String>,
    /// The process that is this machine, where a process is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The availability zone, where there are zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What an hour of it costs, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Usd>,
}

impl Instance {
    /// Which host key is accepted from it. `known_hosts` keeps those that are only known by having been seen.
    #[must_use]
    pub fn host_key_policy(&self, known_hosts: PathBuf) -> HostKeyPolicy {
        match (&self.host_key, &self.given_host_key) {
            (Some(key), _) => HostKeyPolicy::Pinned(key.clone()),
            (None, Some(key)) => HostKeyPolicy::Given { key: key.clone(), machine: self.id.clone(), file: known_hosts },
            // The script says another address than before: by its key it is known whether that is the same machine.
            (None, None) if self.id != self.ssh.endpoint() => match crate::hosts::parse_host(&self.id) {
                Ok(before) => HostKeyPolicy::Moved { before, file: known_hosts },
                Err(_) => HostKeyPolicy::KnownHosts { file: known_hosts, pin_first: true },
            },
            (None, None) => HostKeyPolicy::KnownHosts { file: known_hosts, pin_first: true },
        }
    }

    /// Where operators reach what listens on it, from outside first.
    #[must_use]
    pub fn control_addresses(&self) -> Vec<SocketAddr> {
        let public = self.public_address.map(|public| SocketAddr::new(public, self.control_address.port()));
        let all = public.into_iter().chain([self.control_address]);
        all.filter(|address| !address.ip().is_unspecified()).collect()
    }
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// It was asked for and is not up yet.
    Pending,
    /// It is up. Its SSH server may still need a moment.
    Running,
    /// It is down, and starting it again brings it back with its disk and address.
    Stopped,
    /// It was given back.
    Terminated,
    /// The provider knows of no such machine any more.
    Gone,
}

impl InstanceState {
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

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a machine answers SSH.
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

/// Reads `user@host:port`; user and port may be left out.
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
