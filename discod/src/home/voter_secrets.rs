//! The voters' secrets.

use std::fmt;

use anyhow::Result;
use disco_identity::Authority;
use disco_proto::v1;

use super::Home;

const MAX_BYTES: u64 = 64 * 1024;

/// The signing key that signs nodes' certificates, and the cluster's key pair for its machines.
#[derive(Clone)]
pub struct VoterSecrets {
    /// PEM.
    pub intermediate_certificate: String,
    /// PEM.
    pub intermediate_key: String,
    /// OpenSSH form.
    pub ssh_private_key: String,
}

impl fmt::Debug for VoterSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoterSecrets").finish_non_exhaustive()
    }
}

impl VoterSecrets {
    /// The authority of the signing key.
    ///
    /// # Errors
    /// Certificate or key are damaged, or do not belong together.
    pub fn authority(&self) -> Result<Authority> {
        Ok(Authority::from_pem(&self.intermediate_certificate, &self.intermediate_key)?)
    }
}

impl From<v1::VoterSecrets> for VoterSecrets {
    fn from(wire: v1::VoterSecrets) -> Self {
        Self {
            intermediate_certificate: wire.intermediate_certificate,
            intermediate_key: wire.intermediate_key,
            ssh_private_key: wire.ssh_private_key,
        }
    }
}

impl From<VoterSecrets> for v1::VoterSecrets {
    fn from(secrets: VoterSecrets) -> Self {
        Self {
            intermediate_certificate: secrets.intermediate_certificate,
            intermediate_key: secrets.intermediate_key,
            ssh_private_key: secrets.ssh_private_key,
            secrets_keys: None,
        }
    }
}

impl Home {
    /// The voters' secrets, if this node has them.
    ///
    /// # Errors
    /// A file is there but cannot be read, or is open to others.
    pub fn voter_secrets(&self) -> Result<Option<VoterSecrets>> {
        let read = |name: &str| match disco_identity::read_private(&self.file(name), MAX_BYTES) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        };
        // The certificate is written last, so its presence means that all files exist.
        let certificate = match disco_identity::read_limited(&self.file("intermediate.pem"), MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (Some(key), Some(ssh)) = (read("intermediate.key")?, read("ssh_key")?) else { return Ok(None) };
        Ok(Some(VoterSecrets { intermediate_certificate: certificate, intermediate_key: key, ssh_private_key: ssh }))
    }

    /// Stores the voters' secrets.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn set_voter_secrets(&self, secrets: &VoterSecrets) -> Result<()> {
        disco_identity::write_private(&self.file("ssh_key"), secrets.ssh_private_key.as_bytes())?;
        disco_identity::write_private(&self.file("intermediate.key"), secrets.intermediate_key.as_bytes())?;
        disco_identity::write_public(&self.file("intermediate.pem"), secrets.intermediate_certificate.as_bytes())?;
        Ok(())
    }

    /// Deletes the voters' secrets, and the keys of secrets: this node is a learner.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove_voter_secrets(&self) -> Result<()> {
        for name in ["intermediate.pem", "intermediate.key", "ssh_key"] {
            match fs_err::remove_file(self.file(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        self.remove_secrets_keys()
    }
}
