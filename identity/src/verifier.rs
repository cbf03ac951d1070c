//! Verifies certificates: the chain (webpki), then the cluster's own rules.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError as TlsCertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{self, CertificateError};
use crate::cluster_id::ClusterId;
use crate::connect::Expect;
use crate::credentials::provider;
use crate::refusals::Refusals;
use crate::role::{PeerIdentity, Role};

/// Why a certificate with a valid chain is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the certificate belongs to cluster {theirs}, this is cluster {ours}")]
    OtherCluster { theirs: ClusterId, ours: ClusterId },
    #[error("the certificate was signed by the retired key {serial}")]
    Retired { serial: String },
    #[error("{peer} is not a node")]
    NotNode { peer: PeerIdentity },
    #[error("{peer} answered instead of node/{wanted}")]
    OtherNode { peer: PeerIdentity, wanted: String },
    #[error("{peer} is not certified by the root itself")]
    NotByRoot { peer: PeerIdentity },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::InvalidCertificate(TlsCertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

/// Why a certificate is refused, as a clause.
pub(crate) fn fault(error: &Error) -> String {
    use TlsCertificateError as C;
    match error {
        Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => "it has expired".to_owned(),
        Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "it is not valid yet by this machine's clock".to_owned()
        }
        Error::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => "it was not signed in this cluster".to_owned(),
        Error::InvalidCertificate(C::Other(other)) => other.0.to_string(),
        other => other.to_string(),
    }
}

/// Both directions' verifier: webpki with the cluster's root alone, and the rules above.
#[derive(Debug)]
pub(crate) struct ClusterVerifier {
    cluster_id: ClusterId,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
    refusals: Arc<Refusals>,
}

impl ClusterVerifier {
    pub(crate) fn new(
        root: &CertificateDer<'static>,
        cluster_id: ClusterId,
        refusals: Arc<Refusals>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let mut roots = RootCertStore::empty();
        // An invalid certificate leaves the store empty, which the builders below refuse.
        roots.add_parsable_certificates([root.clone()]);
        let roots = Arc::new(roots);
        Ok(Self {
            cluster_id,
            clients: WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider()).build()?,
            servers: WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?,
            refusals,
        })
    }

    fn check(&self, leaf: &[u8], intermediates: &[CertificateDer<'_>]) -> Result<PeerIdentity, Refusal> {
        let peer = PeerIdentity::from_der(leaf)?;
        if peer.cluster_id != self.cluster_id {
            return Err(Refusal::OtherCluster { theirs: peer.cluster_id, ours: self.cluster_id.clone() });
        }
        for intermediate in intermediates {
            let serial = certificate::serial(&certificate::parse(intermediate)?);
            if self.refusals.contains(&serial) {
                return Err(Refusal::Retired { serial });
            }
        }
        Ok(peer)
    }
}

impl ClientCertVerifier for ClusterVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.clients.verify_client_cert(end_entity, intermediates, now)?;
        let peer = self.check(end_entity, intermediates)?;
        if matches!(peer.role, Role::Operator(_) | Role::Client(_)) {
            // Verified again without intermediates: only certificates signed by the root itself pass.
            self.clients.verify_client_cert(end_entity, &[], now).map_err(|_| Refusal::NotByRoot { peer })?;
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.supported_verify_schemes()
    }
}

impl ServerCertVerifier for ClusterVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.servers.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let verified = match verified {
            // Webpki would list internal host names: report which node answered instead.
            Err(Error::InvalidCertificate(TlsCertificateError::NotValidForNameContext { .. })) => {
                let peer = self.check(end_entity, intermediates)?;
                return Err(match server_name.to_str().strip_prefix("node-").and_then(|rest| rest.split_once('.')) {
                    Some((wanted, _)) => Refusal::OtherNode { peer, wanted: wanted.to_owned() }.into(),
                    None => Refusal::NotNode { peer }.into(),
                });
            }
            other => other?,
        };
        let peer = self.check(end_entity, intermediates)?;
        let names = |expect: Expect| expect.server_name(&self.cluster_id) == server_name.to_str();
        match peer.role {
            // The host name and the URI name must not contradict each other.
            Role::Node(id) if names(Expect::Node(id)) || names(Expect::AnyNode) => Ok(verified),
            _ => Err(Refusal::NotNode { peer }.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.servers.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.servers.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.servers.supported_verify_schemes()
    }
}
