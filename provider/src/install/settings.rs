//! Settings of `discod` on a node.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{InstallError, Layout};
use crate::Pace;

/// Settings of `discod` on a node.
#[derive(Clone)]
pub struct NodeSettings {
    /// The address that it listens on.
    pub listen: SocketAddr,
    /// The address by which other nodes reach it.
    pub advertise: SocketAddr,
    /// The address by which operators reach it, if it is another one.
    pub public_address: Option<IpAddr>,
    /// The node's name.
    pub name: String,
    /// The id of its machine, see [`crate::Machine::id`].
    pub machine: Option<String>,
    /// How fast its consensus runs.
    pub pace: Pace,
    /// The join token; the first node needs none.
    pub join_token: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Additional environment variables.
    pub env: BTreeMap<String, String>,
}

/// Shows that there is a token, never the token, nor values of the environment, which may be secret too.
impl fmt::Debug for NodeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeSettings")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("public_address", &self.public_address)
            .field("name", &self.name)
            .field("machine", &self.machine)
            .field("pace", &self.pace)
            .field("join_token", &self.join_token.as_ref().map(|_| "…"))
            .field("labels", &self.labels)
            .field("env", &self.env.keys())
            .finish()
    }
}

impl NodeSettings {
    /// The arguments of `discod`.
    pub(super) fn args(&self, layout: &Layout) -> Vec<String> {
        let mut args = vec![
            "--data-dir".to_owned(),
            layout.for_service(&layout.data),
            "--listen".to_owned(),
            self.listen.to_string(),
            "--advertise".to_owned(),
            self.advertise.to_string(),
            "--name".to_owned(),
            self.name.clone(),
            "--raft-pace".to_owned(),
            self.pace.to_string(),
        ];
        if let Some(public) = &self.public_address {
            args.extend(["--public-address".to_owned(), public.to_string()]);
        }
        if let Some(machine) = &self.machine {
            args.extend(["--instance".to_owned(), machine.clone()]);
        }
        if self.join_token.is_some() {
            args.extend(["--join-token-file".to_owned(), layout.for_service(&layout.join_token())]);
        }
        for (name, value) in &self.labels {
            args.extend(["--label".to_owned(), format!("{name}={value}")]);
        }
        args
    }

    /// Refuses settings that cannot be written into the service's files.
    pub(super) fn check(&self) -> Result<(), InstallError> {
        let labels = self.labels.iter().flat_map(|(name, value)| [name, value]).map(|text| ("label", text));
        let env = self.env.iter().flat_map(|(name, value)| [name, value]).map(|text| ("env", text));
        let single = [("name", &self.name)].into_iter().chain(self.machine.iter().map(|id| ("machine", id)));
        match single.chain(labels).chain(env).find(|(_, text)| text.chars().any(char::is_control)) {
            Some((what, value)) => Err(InstallError::Setting { what, value: value.clone() }),
            None => Ok(()),
        }
    }
}
