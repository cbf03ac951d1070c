//! The TLS configuration of one party.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};

use crate::ageless::Ageless;
use crate::certificate;
use crate::cluster_id::ClusterId;
use crate::credentials::{Credentials, CredentialsError, provider};
use crate::refusals::Refusals;
use crate::role::PeerIdentity;
use crate::verifier::ClusterVerifier;

/// HTTP/2, the only protocol that gRPC speaks.
const HTTP2: &[u8] = b"h2";
/// For clients of the JSON gateway.
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// An error of loading or replacing an identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The credentials themselves.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The root certificate is invalid.
    #[error("the cluster's root certificate cannot be used")]
    Root(#[source] VerifierBuilderError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The new credentials belong to another party.
    #[error("the new certificate is for `{new}` instead of `{old}`")]
    OtherOwner {
        /// The owner of the present ones.
        old: String,
        /// The owner of the new ones.
        new: String,
    },
    /// The new credentials have another root.
    #[error("the new certificate comes with another root")]
    OtherRoot,
}

/// A party's credentials, which can be replaced while connections are made with them. Clones share them.
#[derive(Clone)]
pub struct Identity {
    current: Arc<Current>,
    verifier: Arc<ClusterVerifier>,
    refusals: Arc<Refusals>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Identity {
    /// Loads the credentials.
    ///
    /// # Errors
    /// When the root is not the certificate of an authority.
    pub fn new(credentials: Credentials) -> Result<Self, IdentityError> {
        let refusals = Arc::<Refusals>::default();
        let cluster_id = credentials.own.cluster_id.clone();
        let verifier = ClusterVerifier::new(&credentials.root, cluster_id, Arc::clone(&refusals));
        let verifier = Arc::new(verifier.map_err(IdentityError::Root)?);
        let current = Arc::new(Current(ArcSwap::from_pointee(credentials)));
        Ok(Self {
            server: Arc::new(server_config(Arc::clone(&verifier), Arc::clone(&current))?),
            client: Arc::new(client_config(Arc::<ClusterVerifier>::clone(&verifier), Arc::clone(&current))?),
            verifier,
            current,
            refusals,
        })
    }

    /// Replaces the certificate, and the key if it changed. New connections use it; open ones continue.
    ///
    /// # Errors
    /// When the new credentials belong to another party or another cluster.
    pub fn replace(&self, credentials: Credentials) -> Result<(), IdentityError> {
        let present = self.current.0.load();
        let name = |own: &PeerIdentity| own.role.uri(&own.cluster_id);
        if name(&present.own) != name(&credentials.own) {
            return Err(IdentityError::OtherOwner { old: name(&present.own), new: name(&credentials.own) });
        }
        // The verifiers were built with the root: with another one, the two directions would trust different roots.
        if present.root != credentials.root {
            return Err(IdentityError::OtherRoot);
        }
        self.current.0.store(Arc::new(credentials));
        Ok(())
    }

    /// The whole list of retired signing keys by serial number (see [`Authority::serial`](crate::Authority::serial)).
    /// Handshakes with certificates signed by them fail from now on, and accepted connections with such certificates end at their
    /// next read, so that peers with a new certificate connect again.
    pub fn refuse_intermediates(&self, serials: impl IntoIterator<Item = String>) {
        self.refusals.replace(serials.into_iter().collect());
    }

    /// Serial number of the signing key of the present certificate (see
    /// [`Authority::serial`](crate::Authority::serial)); `None` if the root itself signed it.
    #[must_use]
    pub fn signer_serial(&self) -> Option<String> {
        let present = self.current.0.load();
        let signer = present.certified.cert.get(1)?;
        certificate::parse(signer).ok().map(|signer| certificate::serial(&signer))
    }

    /// The IP addresses in the present certificate.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let present = self.current.0.load();
        present.certified.cert.first().map(|leaf| certificate::addresses(leaf)).unwrap_or_default()
    }

    /// The owner of the present certificate.
    #[must_use]
    pub fn own(&self) -> PeerIdentity {
        self.current.0.load().own.clone()
    }

    /// The cluster it belongs to.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.current.0.load().own.cluster_id.clone()
    }

    /// The configuration for accepting connections; it reflects later calls of [`Self::replace`].
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// The configuration for making connections; it reflects later calls of [`Self::replace`].
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// The configuration for inspecting certificates, and nothing else.
    pub(crate) fn ageless_config(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        let verifier = Arc::new(Ageless(Arc::clone(&self.verifier)));
        client_config(verifier, Arc::clone(&self.current)).map(Arc::new)
    }

    pub(crate) fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.refusals)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").field("own", &self.own()).finish_non_exhaustive()
    }
}

/// The credentials in use, resolved at every handshake.
struct Current(ArcSwap<Credentials>);

impl Current {
    fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.load().certified)
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.load(), formatter)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// TLS 1.2 stays enabled for third-party gRPC clients; there is no resumption in either version, as a resumed session
/// would be accepted by an old check, and the caches take memory.
fn server_config(verifier: Arc<ClusterVerifier>, current: Arc<Current>) -> Result<ServerConfig, IdentityError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(IdentityError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(current);
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_config(verifier: Arc<dyn ServerCertVerifier>, current: Arc<Current>) -> Result<ClientConfig, IdentityError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(IdentityError::Tls)?
        .dangerous() // The verifier is webpki's with further conditions.
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(current);
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
