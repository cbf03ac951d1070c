//! Certificate authorities: the root, and the signing keys below it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ageless;
use crate::certificate::{self, CertificateError};
use crate::clock::Validity;
use crate::cluster_id::ClusterId;
use crate::connect::Expect;
use crate::key::{KeyError, PrivateKey};
use crate::role::{Role, split_uri};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The root outlives every machine; a new root means a new cluster.
pub const ROOT_LIFETIME: Duration = DAY.saturating_mul(3650);
/// The voters' signing key. It is replaced whenever a voter leaves, so a year is the limit, not the rule.
pub const INTERMEDIATE_LIFETIME: Duration = DAY.saturating_mul(365);
/// A node's certificate. Nodes renew when a third of it is left, so that a cluster without a leader for days loses no node.
pub const NODE_LIFETIME: Duration = DAY.saturating_mul(30);
/// An operator's certificate.
pub const OPERATOR_LIFETIME: Duration = DAY.saturating_mul(365);
/// The certificate of a client of etcd's API, unless another lifetime is requested.
pub const CLIENT_LIFETIME: Duration = DAY.saturating_mul(365);

/// A signing request of a P-256 key has about 400 bytes.
const MAX_REQUEST: usize = 8192;
/// An uncompressed point on P-256.
const P256_POINT: usize = 65;

/// An error of an authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The authority's own key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The authority's own certificate.
    #[error("the authority's certificate cannot be used")]
    Certificate(#[from] CertificateError),
    /// It may not certify anything.
    #[error("the certificate is not that of an authority")]
    NotAuthority,
    /// Certificate and key belong to different authorities.
    #[error("the authority's certificate does not belong to its private key")]
    KeyMismatch,
    /// The request is invalid, or its proof of possession fails.
    #[error("not a signing request with a valid signature")]
    Request,
    /// The request is for a key of another kind.
    #[error("the signing request is for a key that is not P-256")]
    RequestKey,
    /// The present certificate does not belong to a node of this cluster.
    #[error("the node's certificate does not belong to a node of this cluster: {reason}")]
    NotOurs {
        /// Why.
        reason: String,
    },
    /// The request has another key than the present certificate.
    #[error("the signing request and the node's certificate have different keys")]
    OtherKey,
    /// A name that could not be read back.
    #[error("`{0}` is not a valid name in a certificate")]
    Name(String),
    /// Only the root certifies operators, clients and signing keys.
    #[error("only the cluster's root can certify {0}")]
    NotRoot(&'static str),
    /// Signing failed.
    #[error("cannot sign a certificate")]
    Sign(#[source] rcgen::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root,
    Signing,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Root => certificate::ROOT,
            Self::Signing => certificate::SIGNING,
        }
    }
}

/// A certificate with the key that signs others: the root, or an intermediate below it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    cluster_id: ClusterId,
    kind: Kind,
    serial: String,
    not_after: u64,
}

impl Authority {
    /// Makes the root of a new cluster, valid for [`ROOT_LIFETIME`]. `cluster_name` is for people who look at it.
    ///
    /// # Errors
    /// When no key can be made, or the name cannot stand in a certificate.
    pub fn new_root(cluster_id: &ClusterId, cluster_name: &str) -> Result<Self, AuthorityError> {
        let key = PrivateKey::generate()?;
        let title = format!("{cluster_name} root");
        let params = authority_params(cluster_id, Kind::Root, &title, Validity::lasting(ROOT_LIFETIME))?;
        let certificate = params.self_signed(key.pair()).map_err(AuthorityError::Sign)?;
        Self::new(certificate.der().clone(), certificate.pem(), key)
    }

    /// Loads an existing authority.
    ///
    /// # Errors
    /// When certificate or key cannot be read, do not belong together, or are not those of a Disco authority.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let chain = certificate::chain_from_pem(certificate)?;
        let [only] = chain.as_slice() else { return Err(CertificateError::TooMany.into()) };
        Self::new(only.clone(), certificate.to_owned(), PrivateKey::from_pem(key)?)
    }

    fn new(certificate: CertificateDer<'static>, pem: String, key: PrivateKey) -> Result<Self, AuthorityError> {
        let parsed = certificate::parse(&certificate)?;
        let (cluster_id, name) = split_uri(certificate::only_uri(&parsed)?).ok_or(AuthorityError::NotAuthority)?;
        let kind = [Kind::Root, Kind::Signing].into_iter().find(|kind| kind.name() == name);
        let kind = kind.filter(|_| parsed.is_ca()).ok_or(AuthorityError::NotAuthority)?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.pair().public_key_raw() {
            return Err(AuthorityError::KeyMismatch);
        }
        let serial = certificate::serial(&parsed);
        let not_after = certificate::seconds(parsed.validity().not_after);
        let issuer = Issuer::from_ca_cert_der(&certificate, key.into_pair()).map_err(AuthorityError::Sign)?;
        Ok(Self { issuer, certificate, pem, cluster_id, kind, serial, not_after })
    }

    /// The cluster it belongs to.
    #[must_use]
    pub fn cluster_id(&self) -> &ClusterId {
        &self.cluster_id
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its secret, PKCS #8 PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Its certificate's serial number, lower-case hexadecimal. This is what
    /// [`Identity::refuse_intermediates`](crate::Identity::refuse_intermediates) takes once the key is retired.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Last second of its validity, since 1970.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// Whether it is the cluster's root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.kind == Kind::Root
    }

    /// Makes a signing key for the voters, valid for [`INTERMEDIATE_LIFETIME`]. It can certify no further authority.
    ///
    /// # Errors
    /// When this is not the root.
    pub fn new_intermediate(&self) -> Result<Self, AuthorityError> {
        let key = PrivateKey::generate()?;
        let pem = self.sign_intermediate(&key.signing_request()?, Validity::lasting(INTERMEDIATE_LIFETIME))?;
        Self::from_pem(&pem, &key.to_pem())
    }

    /// Certifies a signing key that was made elsewhere, by its PEM signing request. Returns the PEM certificate.
    ///
    /// # Errors
    /// When this is not the root, or the request is not good.
    pub fn sign_intermediate(&self, request: &str, validity: Validity) -> Result<String, AuthorityError> {
        if !self.is_root() {
            return Err(AuthorityError::NotRoot("signing keys"));
        }
        let validity = validity.ending_by(self.not_after);
        let params = authority_params(&self.cluster_id, Kind::Signing, "signing key", validity)?;
        Ok(self.sign(&params, request)?.pem())
    }

    /// Certifies a node. Returns the PEM chain, leaf first.
    ///
    /// The certificate names the node's id, and `addresses` for clients that verify these. Names in the request are ignored.
    ///
    /// # Errors
    /// When the request is not good.
    pub fn issue_node(
        &self,
        request: &str,
        node_id: u64,
        addresses: &[IpAddr],
        validity: Validity,
    ) -> Result<String, AuthorityError> {
        let mut names = vec![
            dns(Expect::Node(node_id).server_name(&self.cluster_id))?,
            dns(Expect::AnyNode.server_name(&self.cluster_id))?,
        ];
        names.extend(addresses.iter().copied().map(SanType::IpAddress));
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(request, &Role::Node(node_id), names, &usages, validity)
    }

    /// Certifies a node again with the root, if its certificate has expired: `chain` (PEM) was made in this cluster, and the
    /// request has the same key. The names stay the same.
    ///
    /// The caller checks whether the node is still a member.
    ///
    /// # Errors
    /// When this is not the root, the chain is not one of this cluster's nodes, or the request is for another key.
    pub fn renew_node(&self, chain: &str, request: &str, validity: Validity) -> Result<String, AuthorityError> {
        if !self.is_root() {
            return Err(AuthorityError::NotRoot("nodes whose certificates have expired"));
        }
        let not_ours = |reason: String| AuthorityError::NotOurs { reason };
        let chain = certificate::chain_from_pem(chain).map_err(|error| not_ours(error.to_string()))?;
        let (leaf, rest) = chain.split_first().ok_or(CertificateError::Empty)?;
        let peer = ageless::verify(&self.certificate, &self.cluster_id, leaf, rest).map_err(not_ours)?;
        let Role::Node(id) = peer.role else { return Err(not_ours(format!("{peer} is not a node"))) };
        let asked = CertificateSigningRequestParams::from_pem(request).map_err(|_| AuthorityError::Request)?;
        if certificate::parse(leaf)?.public_key().subject_public_key.data.as_ref() != asked.public_key.der_bytes() {
            return Err(AuthorityError::OtherKey);
        }
        self.issue_node(request, id, &certificate::addresses(leaf), validity)
    }

    /// Certifies an operator. Returns the PEM chain.
    ///
    /// # Errors
    /// When this is not the root, the name cannot be one, or the request is not good.
    pub fn issue_operator(&self, request: &str, name: &str, validity: Validity) -> Result<String, AuthorityError> {
        if !self.is_root() {
            return Err(AuthorityError::NotRoot("operators"));
        }
        let usages = [ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(request, &Role::Operator(name.to_owned()), Vec::new(), &usages, validity)
    }

    /// Certifies the holder of a join token. Returns the PEM chain, leaf first.
    ///
    /// # Errors
    /// When the token's id cannot be a name, or the request is not good.
    pub fn issue_join(&self, request: &str, token_id: &str, validity: Validity) -> Result<String, AuthorityError> {
        let usages = [ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(request, &Role::Join(token_id.to_owned()), Vec::new(), &usages, validity)
    }

    /// Certifies a client of etcd's API. Returns the PEM chain.
    ///
    /// The certificate has no common name: etcd's own programs refuse one in the certificates of their clients.
    ///
    /// # Errors
    /// When this is not the root, the name cannot be one, or the request is not good.
    pub fn issue_client(&self, request: &str, name: &str, validity: Validity) -> Result<String, AuthorityError> {
        if !self.is_root() {
            return Err(AuthorityError::NotRoot("clients"));
        }
        let usages = [ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(request, &Role::Client(name.to_owned()), Vec::new(), &usages, validity)
    }

    fn issue(
        &self,
        request: &str,
        role: &Role,
        names: Vec<SanType>,
        usages: &[ExtendedKeyUsagePurpose],
        validity: Validity,
    ) -> Result<String, AuthorityError> {
        // A name that cannot be parsed must not be written: it is refused here, not at the first handshake.
        if role.to_string().parse::<Role>().as_ref() != Ok(role) {
            return Err(AuthorityError::Name(role.to_string()));
        }
        let mut params = params(&role.to_string(), validity.ending_by(self.not_after))?;
        if matches!(role, Role::Client(_)) {
            params.distinguished_name.remove(DnType::CommonName);
        }
        params.subject_alt_names = vec![uri(role.uri(&self.cluster_id))?];
        params.subject_alt_names.extend(names);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        let mut chain = self.sign(&params, request)?.pem();
        if !self.is_root() {
            chain.push_str(&self.pem);
        }
        Ok(chain)
    }

    /// Signs `params` for the key of the request; nothing else of the request is used.
    fn sign(&self, params: &CertificateParams, request: &str) -> Result<Certificate, AuthorityError> {
        if request.len() > MAX_REQUEST {
            return Err(AuthorityError::Request);
        }
        let request = CertificateSigningRequestParams::from_pem(request).map_err(|_| AuthorityError::Request)?;
        let key = request.public_key;
        if key.algorithm() != &PKCS_ECDSA_P256_SHA256 || key.der_bytes().len() != P256_POINT {
            return Err(AuthorityError::RequestKey);
        }
        params.signed_by(&key, &self.issuer).map_err(AuthorityError::Sign)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("cluster_id", &self.cluster_id)
            .field("kind", &self.kind)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

fn authority_params(
    cluster_id: &ClusterId,
    kind: Kind,
    title: &str,
    validity: Validity,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = params(title, validity)?;
    // Two authorities must never have the same subject: chains are built by it.
    params.distinguished_name.push(DnType::OrganizationalUnitName, Uuid::new_v4().simple().to_string());
    params.subject_alt_names = vec![uri(format!("disco://{cluster_id}/{}", kind.name()))?];
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.is_ca = IsCa::Ca(match kind {
        Kind::Root => BasicConstraints::Constrained(1),
        Kind::Signing => BasicConstraints::Constrained(0),
    });
    Ok(params)
}

fn params(title: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Disco");
    params.distinguished_name.push(DnType::CommonName, title);
    params.serial_number = Some(random_serial());
    params.not_before = date(validity.not_before)?;
    params.not_after = date(validity.not_after)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 122 random bits; the highest is cleared, as a serial number is positive, and the next set, so that none is short.
fn random_serial() -> SerialNumber {
    let mut bytes = Uuid::new_v4().into_bytes();
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

fn date(seconds: u64) -> Result<OffsetDateTime, AuthorityError> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or_else(|| AuthorityError::Name(format!("{seconds} s after 1970")))
}

fn uri(uri: String) -> Result<SanType, AuthorityError> {
    uri.clone().try_into().map(SanType::URI).map_err(|_| AuthorityError::Name(uri))
}

fn dns(name: String) -> Result<SanType, AuthorityError> {
    name.clone().try_into().map(SanType::DnsName).map_err(|_| AuthorityError::Name(name))
}

#[cfg(test)]
mod tests;
