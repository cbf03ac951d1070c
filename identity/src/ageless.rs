//! Checks certificates without regard to their age: to inspect a node's certificate, and to identify the holder of an expired
//! one. All other checks apply as usual.
//!
//! Such a connection carries no requests: it is closed once the certificate was received.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::danger::ClientCertVerifier;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::certificate::{self, CertificateInfo};
use crate::cluster_id::ClusterId;
use crate::connect::{ConnectError, Expect};
use crate::refusals::Refusals;
use crate::role::PeerIdentity;
use crate::tls::Identity;
use crate::verifier::{ClusterVerifier, fault};

/// The certificates of the node at `address` (`IP:PORT`), leaf first, of any age. The node sends them before it checks the
/// caller's, which may thus have expired, too.
///
/// # Errors
/// No answer in time, or the answer of a party that is not a node of the cluster.
pub async fn look(address: &str, identity: &Identity, limit: Duration) -> Result<Vec<CertificateInfo>, ConnectError> {
    let name = ServerName::try_from(Expect::AnyNode.server_name(&identity.cluster_id()))
        .map_err(|error| ConnectError::at(address, "make a server name for")(io::Error::other(error)))?;
    let config = identity.ageless_config().map_err(io::Error::other);
    let connector = TlsConnector::from(config.map_err(ConnectError::at(address, "inspect"))?);
    let work = async {
        let stream = TcpStream::connect(address).await.map_err(ConnectError::at(address, "connect to"))?;
        let stream = connector.connect(name, stream).await.map_err(ConnectError::at(address, "establish TLS with"))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain = chain.iter().map(|certificate| CertificateInfo::from_der(certificate));
        let chain: Result<Vec<_>, _> = chain.collect();
        chain.map_err(io::Error::other).map_err(ConnectError::at(address, "read the certificate of"))
    };
    let late =
        |_| ConnectError::at(address, "connect to")(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
    timeout(limit, work).await.map_err(late)?
}

/// The holder of this certificate of the cluster, ignoring its age.
///
/// # Errors
/// Why the certificate would not be accepted at any time.
pub(crate) fn verify(
    root: &CertificateDer<'static>,
    cluster_id: &ClusterId,
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
) -> Result<PeerIdentity, String> {
    let verifier = ClusterVerifier::new(root, cluster_id.clone(), Arc::<Refusals>::default());
    let verifier = verifier.map_err(|error| error.to_string())?;
    verifier.verify_client_cert(leaf, rest, moment(leaf, rest, UnixTime::now())).map_err(|error| fault(&error))?;
    PeerIdentity::from_der(leaf).map_err(|error| error.to_string())
}

/// A time at which the whole chain is valid, the nearest to `now`; any time if there is none.
fn moment(leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>], now: UnixTime) -> UnixTime {
    let read = |der: &CertificateDer<'_>| certificate::parse(der).ok().map(|parsed| certificate::validity(&parsed));
    let all = std::iter::once(leaf).chain(rest).filter_map(read);
    let (start, end) =
        all.fold((0, u64::MAX), |(start, end), validity| (validity.not_before.max(start), validity.not_after.min(end)));
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().max(start).min(end)))
}

/// The cluster's verifier, at a time at which the certificate is valid.
#[derive(Debug)]
pub(crate) struct Ageless(pub(crate) Arc<ClusterVerifier>);

impl ServerCertVerifier for Ageless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let then = moment(end_entity, intermediates, now);
        self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, then)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self.0.as_ref(), message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self.0.as_ref(), message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self.0.as_ref())
    }
}
