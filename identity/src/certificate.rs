//! Parses certificates: PEM to DER, and the few fields that are used.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::clock::Validity;
use crate::cluster_id::ClusterId;
use crate::role::{Role, printable, split_uri};

/// The longest accepted chain: leaf and signing certificate are two, a root sent along makes three.
const MAX_CHAIN: usize = 4;

/// An error of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM.
    #[error("not a PEM certificate: {problem}")]
    Pem {
        /// The parser's error.
        problem: String,
    },
    /// PEM without a certificate.
    #[error("no certificate in the PEM text")]
    Empty,
    /// Too many certificates.
    #[error("more than {MAX_CHAIN} certificates in the PEM text")]
    TooMany,
    /// Not a certificate.
    #[error("not an X.509 certificate")]
    Der,
    /// It does not have exactly one URI name.
    #[error("the certificate has {found} URI names instead of one")]
    Uris {
        /// How many there are.
        found: usize,
    },
    /// The name does not belong to a cluster.
    #[error("the certificate's name `{uri}` does not belong to a Disco cluster")]
    Name {
        /// The name.
        uri: String,
    },
}

/// The content of a certificate of a cluster. Parsing checks no signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The cluster for which it was made.
    pub cluster_id: ClusterId,
    /// Its owner: a [`Role`] such as `node/3`, or `authority/root`, or `authority/signing` for a signing key.
    pub subject: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// When it is valid.
    pub validity: Validity,
}

impl CertificateInfo {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When the bytes are not a certificate, or not one of a Disco cluster.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = parse(der)?;
        let uri = only_uri(&certificate)?;
        let (cluster_id, subject) = split_uri(uri)
            .filter(|(_, name)| AUTHORITIES.contains(name) || name.parse::<Role>().is_ok())
            .ok_or_else(|| CertificateError::Name { uri: printable(uri) })?;
        Ok(Self {
            cluster_id,
            subject: subject.to_owned(),
            serial: serial(&certificate),
            validity: validity(&certificate),
        })
    }

    /// Reads a chain, leaf first.
    ///
    /// # Errors
    /// As [`chain_from_pem`] and [`Self::from_der`].
    pub fn chain_from_pem(pem: &str) -> Result<Vec<Self>, CertificateError> {
        chain_from_pem(pem)?.iter().map(|certificate| Self::from_der(certificate)).collect()
    }
}

/// Names of the root and of signing keys in their certificates.
pub(crate) const ROOT: &str = "authority/root";
pub(crate) const SIGNING: &str = "authority/signing";
const AUTHORITIES: [&str; 2] = [ROOT, SIGNING];

/// The certificates of a PEM text in their order, at least one.
///
/// # Errors
/// When the text is not PEM, or holds none or too many.
pub fn chain_from_pem(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        if chain.len() == MAX_CHAIN {
            return Err(CertificateError::TooMany);
        }
        chain.push(certificate.map_err(|error| CertificateError::Pem { problem: error.to_string() })?);
    }
    if chain.is_empty() { Err(CertificateError::Empty) } else { Ok(chain) }
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Der),
    }
}

pub(crate) fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, CertificateError> {
    let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Der)?;
    let mut uris = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.count()) {
        (Some(uri), 0) => Ok(uri),
        (first, rest) => Err(CertificateError::Uris { found: usize::from(first.is_some()) + rest }),
    }
}

/// The IP addresses in a certificate; empty if it cannot be parsed.
pub(crate) fn addresses(der: &[u8]) -> Vec<IpAddr> {
    let Ok(certificate) = parse(der) else { return Vec::new() };
    let Ok(names) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = names.iter().flat_map(|extension| &extension.value.general_names);
    let addresses = names.filter_map(|name| match name {
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()
        }
        _ => None,
    });
    addresses.collect()
}

/// Lower-case hexadecimal, without leading zeros: the number, not its encoding.
pub(crate) fn serial(certificate: &X509Certificate<'_>) -> String {
    certificate.serial.to_str_radix(16)
}

pub(crate) fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity { not_before: seconds(validity.not_before), not_after: seconds(validity.not_after) }
}

/// Seconds since 1970, 0 for what lies before.
pub(crate) fn seconds(time: ASN1Time) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0)
}
