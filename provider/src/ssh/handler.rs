//! Callbacks of the SSH library during a connection.

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

/// An error of ours or of the library.
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
        // Set only once: a later key exchange must show the same key.
        let first = self.seen.get_or_init(|| seen.clone());
        Ok(first.fingerprint == seen.fingerprint)
    }
}
