//! The way to a machine.

use std::path::{Path, PathBuf};

use super::evaluate::{Evaluation, Proxy, Values};
use super::{ConfigError, SshConfig};
use crate::SshTarget;
use crate::hosts::Address;

/// The user if neither the script nor the configuration names one: installing needs root on most machines.
const USER: &str = "root";
/// The port of SSH.
const PORT: u16 = 22;
/// The most machines in a chain of jump hosts.
const LONGEST: usize = 8;
/// The private keys that OpenSSH tries without `IdentityFile`, of the kinds that are supported.
const IDENTITIES: [&str; 2] = ["id_ecdsa", "id_ed25519"];
const KNOWN_HOSTS: [&str; 2] = ["known_hosts", "known_hosts2"];
/// Those for all users, which count in addition.
const GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// The way to a machine: the machine itself, and the jump hosts before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The machine.
    pub last: Hop,
    /// The jump hosts, in the order of the connections.
    pub jumps: Vec<Hop>,
    /// Parts of the configuration that were not evaluated, in words.
    pub notes: Vec<String>,
}

/// A machine, and how to log in to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Where its SSH server is.
    pub target: SshTarget,
    /// Private keys, those that exist.
    pub identities: Vec<PathBuf>,
    /// Whether only these keys are used, and of the agent's only those that are among them.
    pub identities_only: bool,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// The files of host keys, the user's own first.
    pub known_hosts: Vec<PathBuf>,
    /// Its name in these files, if it is another one than that of the target.
    pub key_alias: Option<String>,
}

impl SshConfig {
    /// The way to the machine that a script or an operator names as `[user@]host[:port]`.
    ///
    /// # Errors
    /// A name of another form, a configuration that cannot be read, `ProxyCommand`.
    pub fn route(&self, name: &str) -> Result<Route, ConfigError> {
        let address = Address::parse(name).map_err(|reason| ConfigError::Value { name: name.to_owned(), reason })?;
        self.route_to(&address, LONGEST, false)
    }

    /// `most` is the number of jump hosts that may still follow; `alone` leaves them out.
    fn route_to(&self, address: &Address, most: usize, alone: bool) -> Result<Route, ConfigError> {
        let fail = |reason: String| ConfigError::Value { name: address.host.clone(), reason };
        let (target, values) = self.values_of(address)?;
        let mut notes = values.notes.clone();
        let jumps = match &values.proxy {
            None | Some(Proxy::None) => Vec::new(),
            Some(_) if alone => Vec::new(),
            Some(Proxy::Command(command)) => {
                return Err(fail(format!(
                    "`ProxyCommand {command}` is not supported\nhint: use `ProxyJump`, which needs no program"
                )));
            }
            Some(Proxy::Jump(_)) if most == 0 => {
                return Err(fail(format!("more than {LONGEST} jump hosts, or a loop")));
            }
            Some(Proxy::Jump(list)) => self.jumps(list, &target, most, &mut notes, &fail)?,
        };
        let last = self.hop(address, target, &values).map_err(fail)?;
        Ok(Route { last, jumps, notes })
    }

    /// Where the machine's SSH server is, and the values that apply to it.
    fn values_of(&self, address: &Address) -> Result<(SshTarget, Values), ConfigError> {
        let values = Values { user: address.user.clone(), port: address.port, ..Values::default() };
        let mut evaluation = Evaluation { config: self, name: &address.host, values };
        evaluation.run()?;
        let host = evaluation.host_name();
        let values = evaluation.values;
        let user = values.user.clone().unwrap_or_else(|| USER.to_owned());
        Ok((SshTarget { user, host, port: values.port.unwrap_or(PORT) }, values))
    }

    /// The jump hosts of a list. Only the first one may itself be behind others.
    fn jumps(
        &self,
        list: &str,
        target: &SshTarget,
        most: usize,
        notes: &mut Vec<String>,
        fail: &dyn Fn(String) -> ConfigError,
    ) -> Result<Vec<Hop>, ConfigError> {
        let mut found = Vec::new();
        for (at, name) in list.split(',').enumerate() {
            let name = name.trim();
            let name = name.strip_prefix("ssh://").unwrap_or(name);
            let address = Address::parse(name).map_err(|reason| fail(format!("`ProxyJump {list}`: {reason}")))?;
            // `Host *` with `ProxyJump` matches the jump host itself.
            if self.values_of(&address)?.0.endpoint() == target.endpoint() {
                continue;
            }
            let route = self.route_to(&address, most - 1, at > 0)?;
            notes.extend(route.notes);
            found.extend(route.jumps);
            found.push(route.last);
        }
        Ok(found)
    }

    fn hop(&self, address: &Address, target: SshTarget, values: &Values) -> Result<Hop, String> {
        let expand = |text: &str| self.expand(text, &address.host, &target);
        let given = values.identities.iter().filter(|file| !file.eq_ignore_ascii_case("none"));
        let mut identities = given.map(|file| expand(file)).collect::<Result<Vec<_>, _>>()?;
        if values.identities.is_empty() {
            identities = IDENTITIES.iter().map(|name| self.home.join(".ssh").join(name)).collect();
        }
        // The public half may be there alone, if an agent has the private one.
        identities.retain(|path| path.exists() || public_half(path).exists());
        let agent = match values.agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => self.agent.clone(),
            Some(none) if none.eq_ignore_ascii_case("none") => None,
            Some(text) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
                Some(variable) => std::env::var_os(variable).map(PathBuf::from),
                None => Some(expand(text)?),
            },
        };
        let mut known_hosts: Vec<PathBuf> = match &values.known_hosts {
            Some(files) if files.first().is_some_and(|one| one.eq_ignore_ascii_case("none")) => Vec::new(),
            Some(files) => files.iter().map(|file| expand(file)).collect::<Result<_, _>>()?,
            None => KNOWN_HOSTS.iter().map(|name| self.home.join(".ssh").join(name)).collect(),
        };
        known_hosts.extend(GLOBAL_KNOWN_HOSTS.map(PathBuf::from));
        Ok(Hop {
            identities,
            identities_only: values.identities_only.unwrap_or(false),
            agent,
            known_hosts,
            key_alias: values.key_alias.clone(),
            target,
        })
    }

    /// Expands `~`, `%` and `${…}` in the path of a file.
    fn expand(&self, text: &str, name: &str, target: &SshTarget) -> Result<PathBuf, String> {
        let mut path = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            path += &rest[..at];
            rest = &rest[at..];
            if let Some(variable) = rest.strip_prefix("${") {
                let (variable, after) = variable.split_once('}').ok_or_else(|| format!("`{text}`: `}}` is missing"))?;
                path +=
                    &std::env::var(variable).map_err(|_| format!("`{text}`: the variable `{variable}` is not set"))?;
                rest = after;
                continue;
            }
            let sign = rest.chars().nth(1).filter(|_| rest.starts_with('%'));
            match sign {
                None => path.push_str(&rest[..1]),
                Some('%') => path.push('%'),
                Some('d') => path += &self.home.to_string_lossy(),
                Some('h') => path += &target.host,
                Some('n') => path += name,
                Some('p') => path += &target.port.to_string(),
                Some('r') => path += &target.user,
                Some('u') => path += &self.user,
                Some(other) => return Err(format!("`{text}`: `%{other}` is not supported")),
            }
            rest = &rest[1 + sign.map_or(0, char::len_utf8)..];
        }
        path += rest;
        Ok(self.at_home(&path))
    }

    /// The path, with `~` as the user's home.
    #[must_use]
    pub fn at_home(&self, path: &str) -> PathBuf {
        match path.strip_prefix('~') {
            Some("") => self.home.clone(),
            Some(rest) => rest.strip_prefix('/').map_or_else(|| PathBuf::from(path), |rest| self.home.join(rest)),
            None => PathBuf::from(path),
        }
    }
}

/// The file of the public key beside that of the private one.
pub(in crate::ssh) fn public_half(private: &Path) -> PathBuf {
    let mut path = private.as_os_str().to_owned();
    path.push(".pub");
    PathBuf::from(path)
}
