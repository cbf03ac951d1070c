//! Private keys.

use std::fmt;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::files::{self, FileError};

/// A P-256 key in PKCS #8 PEM has about 240 bytes.
const MAX_KEY_FILE: u64 = 4096;

/// An error of a private key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content.
    #[error("not a P-256 private key in PKCS #8 PEM")]
    Parse,
    /// Its content, in a file.
    #[error("`{path}` is not a P-256 private key in PKCS #8 PEM")]
    ParseFile {
        /// Which file.
        path: String,
    },
    /// A key could not be made or used for signing.
    #[error("cannot {action}")]
    Crypto {
        /// The operation.
        action: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

/// A P-256 private key: of a node, an operator, a join token or a certificate authority.
pub struct PrivateKey {
    pair: KeyPair,
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|source| KeyError::Crypto { action: "make a private key", source })?;
        Ok(Self { pair })
    }

    /// Reads PKCS #8 PEM.
    ///
    /// # Errors
    /// When it is something else, or a key of another kind.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256).map_err(|_| KeyError::Parse)?;
        Ok(Self { pair })
    }

    /// Reads a key file, and refuses one that others may read.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others, or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&files::read_private(path, MAX_KEY_FILE)?).map_err(|error| match error {
            KeyError::Parse => KeyError::ParseFile { path: path.display().to_string() },
            other => other,
        })
    }

    /// Writes a key file with mode 0600.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store(&self, path: &Path) -> Result<(), KeyError> {
        Ok(files::write_private(path, self.to_pem().as_bytes())?)
    }

    /// Reads a key file; if it does not exist, makes a key and writes it.
    ///
    /// # Errors
    /// As [`Self::load`] and [`Self::store`]. An existing invalid file is never replaced.
    pub fn load_or_generate(path: &Path) -> Result<Self, KeyError> {
        if files::exists(path)? {
            return Self::load(path);
        }
        let key = Self::generate()?;
        key.store(path)?;
        Ok(key)
    }

    /// The secret itself, PKCS #8 PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// A PEM signing request: the public key and a proof of possession. It carries no names, as the authority would
    /// ignore them.
    ///
    /// # Errors
    /// When signing fails.
    pub fn signing_request(&self) -> Result<String, KeyError> {
        let failed = |source| KeyError::Crypto { action: "sign a signing request", source };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serialize_request(&self.pair).and_then(|request| request.pem()).map_err(failed)
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(crate) fn into_pair(self) -> KeyPair {
        self.pair
    }

    pub(crate) fn to_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_kept_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let first = PrivateKey::load_or_generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(PrivateKey::load_or_generate(&path).unwrap().to_pem(), first.to_pem());
    }

    #[test]
    fn open_permissions_are_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        PrivateKey::generate().unwrap().store(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644, 0o610] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = PrivateKey::load_or_generate(&path).unwrap_err().to_string();
            assert!(error.contains("hint: chmod 600") && error.contains("node.key"), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        PrivateKey::load(&path).unwrap();
    }

    #[test]
    fn a_damaged_key_is_named_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        files::write_private(&path, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        let error = PrivateKey::load_or_generate(&path).unwrap_err().to_string();
        assert!(error.contains("node.key"), "{error}");
        assert!(fs::read_to_string(&path).unwrap().contains("AAAA"));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let key = PrivateKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(…)");
    }
}
