//! How to log in: with one key pair, or with the keys that the user's `ssh` would use.

use std::path::{Path, PathBuf};

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use tokio::net::UnixStream;

use super::config::{Hop, public_half};
use super::{KeyPair, SshError};

/// How to log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// With this key pair, and no other key.
    Pair(KeyPair),
    /// With the keys of an agent and of files, in OpenSSH's order.
    User(UserKeys),
}

/// The keys of the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserKeys {
    /// Files of private keys.
    pub files: Vec<PathBuf>,
    /// Whether the agent's other keys are not used.
    pub files_only: bool,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
}

impl From<KeyPair> for Login {
    fn from(pair: KeyPair) -> Self {
        Self::Pair(pair)
    }
}

impl From<&Hop> for Login {
    fn from(hop: &Hop) -> Self {
        let (files, agent) = (hop.identities.clone(), hop.agent.clone());
        Self::User(UserKeys { files, files_only: hop.identities_only, agent })
    }
}

/// A key to try.
#[derive(Debug)]
pub(super) enum Key {
    Pair(KeyPair),
    /// The agent signs with it.
    Agent {
        public: PublicKey,
        comment: String,
    },
}

impl Key {
    /// The public key in OpenSSH's form.
    pub(super) fn public(&self) -> String {
        match self {
            Self::Pair(pair) => pair.public_openssh(),
            Self::Agent { public, .. } => public.to_openssh().unwrap_or_default(),
        }
    }

    /// The key in words: its fingerprint, and where it is.
    pub(super) fn named(&self) -> String {
        match self {
            Self::Pair(pair) => pair.named(),
            Self::Agent { public, comment } => {
                let comment = if comment.is_empty() { String::new() } else { format!(" `{comment}`") };
                format!("{} (agent{comment})", public.fingerprint(HashAlg::Sha256))
            }
        }
    }
}

/// The keys to try, in order.
pub(super) struct Keys {
    pub(super) keys: Vec<Key>,
    /// The agent that has some of them.
    pub(super) agent: Option<AgentClient<UnixStream>>,
    /// Why others are not among them, in words.
    pub(super) left_out: Vec<String>,
    /// A command that would add another one.
    pub(super) hint: Option<String>,
}

impl Login {
    /// Collects the keys. One that cannot be used is left out.
    pub(super) async fn keys(&self) -> Keys {
        match self {
            Self::Pair(pair) => {
                Keys { keys: vec![Key::Pair(pair.clone())], agent: None, left_out: Vec::new(), hint: None }
            }
            Self::User(keys) => keys.collect().await,
        }
    }
}

impl UserKeys {
    /// First the agent's keys that are also named by files, then the agent's others, then those of files, as OpenSSH does.
    async fn collect(&self) -> Keys {
        let mut left_out = Vec::new();
        let (agent, held) = match &self.agent {
            None => (None, Vec::new()),
            Some(socket) => match identities(socket).await {
                Ok((agent, held)) => (Some(agent), held),
                Err(why) => {
                    left_out.push(format!("the agent at `{}`: {why}", socket.display()));
                    (None, Vec::new())
                }
            },
        };
        let named: Vec<(&PathBuf, Option<PublicKey>)> = self.files.iter().map(|file| (file, public_of(file))).collect();
        let is_named = |key: &PublicKey| {
            named.iter().any(|(_, named)| named.as_ref().is_some_and(|named| named.key_data() == key.key_data()))
        };
        let (first, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|(key, _)| is_named(key));
        let others = others.into_iter().filter(|_| !self.files_only);
        let mut keys: Vec<Key> =
            first.into_iter().chain(others).map(|(public, comment)| Key::Agent { public, comment }).collect();
        let mut hint = None;
        for (file, public) in named {
            let in_agent = |key: &Key| match (key, &public) {
                (Key::Agent { public: held, .. }, Some(public)) => held.key_data() == public.key_data(),
                _ => false,
            };
            if keys.iter().any(in_agent) || !file.exists() {
                continue;
            }
            match KeyPair::load(file, None) {
                Ok(pair) => keys.push(Key::Pair(pair)),
                Err(error) => {
                    let error_of_key = matches!(error, SshError::KeyEncrypted { .. });
                    if error_of_key && hint.is_none() {
                        hint = Some(add_to_agent(file, self.agent.is_some()));
                    }
                    left_out.push(first_line(&error));
                }
            }
        }
        Keys { keys, agent, left_out, hint }
    }

    /// The public key of this file in OpenSSH's form, if the agent holds it.
    pub async fn public_in_agent(&self, file: &Path) -> Option<String> {
        let (socket, public) = (self.agent.as_ref()?, public_of(file)?);
        let (_, held) = identities(socket).await.ok()?;
        held.iter().any(|(held, _)| held.key_data() == public.key_data()).then(|| public.to_openssh().ok()).flatten()
    }
}

/// The command that gives an encrypted key to an agent.
#[must_use]
pub(crate) fn add_to_agent(file: &Path, running: bool) -> String {
    let add = format!("ssh-add {}", super::quote(&file.to_string_lossy()));
    if running {
        format!("`{add}`")
    } else {
        format!("start an agent and give it the key: `eval \"$(ssh-agent)\" && {add}`")
    }
}

/// The hash of signatures with this kind of key: RSA's default, SHA-1, is refused by servers.
pub(super) fn hash_for(key: &PublicKey) -> Option<HashAlg> {
    matches!(key.algorithm(), Algorithm::Rsa { .. }).then_some(HashAlg::Sha512)
}

/// Connects to an agent and lists its plain keys.
async fn identities(socket: &Path) -> Result<(AgentClient<UnixStream>, Vec<(PublicKey, String)>), String> {
    let listed = async {
        let mut agent = AgentClient::connect_uds(socket).await.map_err(|error| error.to_string())?;
        let held = agent.request_identities().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((agent, held))
    };
    let late = |_| "no answer in time".to_owned();
    let (agent, held) = tokio::time::timeout(AGENT_ANSWERS, listed).await.map_err(late)??;
    let plain = held.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, comment } => Some((key, comment)),
        AgentIdentity::Certificate { .. } => None,
    });
    Ok((agent, plain.collect()))
}

/// Time for an agent to list its keys. It does so without the user.
const AGENT_ANSWERS: std::time::Duration = std::time::Duration::from_secs(5);

/// The public key of a private key's file: the one beside it, or the part that is not encrypted.
fn public_of(private: &Path) -> Option<PublicKey> {
    let beside = std::fs::read_to_string(public_half(private)).ok();
    let beside = beside.and_then(|text| PublicKey::from_openssh(text.trim()).ok());
    beside.or_else(|| {
        let key = PrivateKey::from_openssh(std::fs::read_to_string(private).ok()?).ok()?;
        Some(key.public_key().clone())
    })
}

fn first_line(error: &SshError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
