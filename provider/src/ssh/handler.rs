//! What the protocol's implementation asks us while it connects.

use std::sync::{Arc, OnceLock};

use russh::keys::PublicKeyOrCertificate;

use super::{HostKeyPolicy, HostKeySeen, SshError};
use crate::SshTarget;

/// Checks the host key.
pub(super) struct Handler {
    pub(super) target: SshTarget,
    pub(super) policy: HostKeyPolicy,
    /// Set when the key was accepted.
    pub(super) seen: Arc<OnceLock<HostKeySeen>>,
}

/// Either what we say or what the implementation says.
#[derive(Debug)]
pub(super) enum HandlerError {
    HostKey(SshError),
    Protocol(russh::Error),
}

impl From<russh::Error> for HandlerError {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}

impl russh::client::Handler for Handler {
    type Error = HandlerError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Err(HandlerError::HostKey(SshError::HostCertificate { endpoint: self.target.endpoint() }));
        };
        let seen = self.policy.check(&self.target, key).map_err(HandlerError::HostKey)?;
        // Set once only: a later exchange of keys must show the same one.
        let first = self.seen.get_or_init(|| seen.clone());
        Ok(first.fingerprint == seen.fingerprint)
    }
}
