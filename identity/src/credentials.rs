//! The credentials of one party: its chain, its key and the root.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate::{self, CertificateError};
use crate::files::{self, FileError};
use crate::key::{KeyError, PrivateKey};
use crate::refusals::Refusals;
use crate::role::PeerIdentity;
use crate::verifier::{ClusterVerifier, fault};

/// A chain of P-256 certificates has about 1.6 kB.
const MAX_CHAIN_FILE: u64 = 64 * 1024;

/// An error of a party's own credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The private key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The cluster's root certificate.
    #[error("the cluster's root certificate cannot be used")]
    Root(#[source] CertificateError),
    /// The own certificate.
    #[error("this machine's own certificate cannot be used")]
    Certificate(#[source] CertificateError),
    /// Certificate and key do not match.
    #[error("the certificate does not belong to the private key")]
    KeyMismatch(#[source] rustls::Error),
    /// Other parties would refuse it.
    #[error("unusable certificate: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

/// A party's certificate chain with its private key, and the root with which it verifies its cluster.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) root: CertificateDer<'static>,
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) own: PeerIdentity,
}

impl Credentials {
    /// From PEM texts: the root certificate, the own chain (leaf first), the own key.
    ///
    /// # Errors
    /// When one of them cannot be read, or chain and key do not belong together.
    pub fn from_pem(root: &str, chain: &str, key: &str) -> Result<Self, CredentialsError> {
        Self::new(root, chain, &PrivateKey::from_pem(key)?)
    }

    /// From PEM texts and a key.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn new(root: &str, chain: &str, key: &PrivateKey) -> Result<Self, CredentialsError> {
        let mut roots = certificate::chain_from_pem(root).map_err(CredentialsError::Root)?;
        let (Some(root), true) = (roots.pop(), roots.is_empty()) else {
            return Err(CredentialsError::Root(CertificateError::TooMany));
        };
        let chain = certificate::chain_from_pem(chain).map_err(CredentialsError::Certificate)?;
        let leaf = chain.first().ok_or(CredentialsError::Certificate(CertificateError::Empty))?;
        let own = PeerIdentity::from_der(leaf).map_err(CredentialsError::Certificate)?;
        let certified =
            CertifiedKey::from_der(chain, key.to_der(), &provider()).map_err(CredentialsError::KeyMismatch)?;
        Ok(Self { root, certified: Arc::new(certified), own })
    }

    /// From files. The key's permissions are checked.
    ///
    /// # Errors
    /// As [`Self::from_pem`], and when a file cannot be read.
    pub fn load(root: &Path, chain: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let root = files::read_limited(root, MAX_CHAIN_FILE)?;
        let chain = files::read_limited(chain, MAX_CHAIN_FILE)?;
        Self::new(&root, &chain, &PrivateKey::load(key)?)
    }

    /// Checks that other parties of the cluster would accept the certificate, by this machine's clock.
    ///
    /// # Errors
    /// Why they would not.
    pub fn verify(&self) -> Result<(), CredentialsError> {
        let refused = |reason: String| CredentialsError::Refused { reason };
        let verifier = ClusterVerifier::new(&self.root, self.own.cluster_id.clone(), Arc::<Refusals>::default());
        let verifier = verifier.map_err(|error| refused(error.to_string()))?;
        let (leaf, rest) = self.certified.cert.split_first().ok_or_else(|| refused("the chain is empty".to_owned()))?;
        let verified = verifier.verify_client_cert(leaf, rest, UnixTime::now());
        verified.map(|_| ()).map_err(|error| refused(fault(&error)))
    }

    /// The identity in the certificate.
    #[must_use]
    pub fn own(&self) -> &PeerIdentity {
        &self.own
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("own", &self.own).finish_non_exhaustive()
    }
}

/// The cryptography of all of Disco.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
