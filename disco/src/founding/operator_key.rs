//! The operator's key for the machines, and the way to these.

use std::path::{Path, PathBuf};

use disco_provider::{
    Machine,
    ssh::{HostKeyPolicy, Login, Route, SshConfig, SshError},
};

/// The operator's key for the machines of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct OperatorKey {
    /// The key pair that the script named, or that Disco made; `None` for the keys that `ssh` would use.
    pub(super) login: Option<Login>,
    /// The public half, if there is one pair.
    pub(super) public: Option<String>,
    /// A file with one more key, tried last.
    pub(super) also: Option<PathBuf>,
    /// The machines are given hosts, which are reached as by `ssh`.
    pub(super) as_ssh: bool,
}

impl OperatorKey {
    /// The public key in OpenSSH's form; `None` if no single pair is named.
    pub(crate) fn public_openssh(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// The way to a machine.
    pub(super) fn way(&self, config: &SshConfig, machine: &Machine, known_hosts: &Path) -> Result<Way, SshError> {
        let own = machine.host_key_policy(known_hosts.to_path_buf());
        let target = machine.ssh.clone();
        if !self.as_ssh {
            let login = self.login.clone().unwrap_or_else(|| Login::User(Default::default()));
            return Ok(Way { login, policy: own, route: None });
        }
        let mut route = config.route(machine.ssh_name.as_deref().unwrap_or(&target.to_string()))?;
        // The recorded address counts: the configuration may have changed since.
        route.last.target = target;
        let login = self.login.clone().unwrap_or_else(|| {
            route.last.identities.extend(self.also.clone());
            Login::from(&route.last)
        });
        let policy = HostKeyPolicy::WithUser {
            policy: Box::new(own),
            files: route.last.known_hosts.clone(),
            alias: route.last.key_alias.clone(),
        };
        Ok(Way { login, policy, route: Some(route) })
    }
}

/// How to connect to a machine.
pub(super) struct Way {
    pub(super) login: Login,
    pub(super) policy: HostKeyPolicy,
    /// With the jump hosts, for given hosts.
    pub(super) route: Option<Route>,
}
