//! The role of a certificate's owner.

use std::fmt;
use std::str::FromStr;

use crate::certificate::{self, CertificateError};
use crate::clock::Validity;
use crate::cluster_id::ClusterId;

/// Longest operator name or token id, in bytes.
const MAX_NAME: usize = 64;

/// The owner of a certificate, written as `disco://<cluster-id>/<role>/<name>` in its only URI name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// A node by its id, which is never 0 and never reused: `node/3`.
    Node(u64),
    /// A person or program that operates the cluster: `operator/anna`.
    Operator(String),
    /// The holder of a join token, who may do nothing but join: `join/<token-id>`.
    Join(String),
    /// A program that uses the cluster's keys by etcd's API, and may do nothing else: `client/billing`.
    Client(String),
}

/// The text is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid role `{0}`: expected `node/<id>`, `operator/<name>`, `client/<name>` or `join/<token-id>`")]
pub struct InvalidRole(String);

impl Role {
    /// The URI that a certificate of this role carries.
    #[must_use]
    pub fn uri(&self, cluster: &ClusterId) -> String {
        format!("disco://{cluster}/{self}")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(formatter, "node/{id}"),
            Self::Operator(name) => write!(formatter, "operator/{name}"),
            Self::Join(token) => write!(formatter, "join/{token}"),
            Self::Client(name) => write!(formatter, "client/{name}"),
        }
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    /// Strict: a parsed role is written in the same way, so that no name has two spellings.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidRole(text.chars().take(2 * MAX_NAME).collect());
        let (kind, name) = text.split_once('/').ok_or_else(invalid)?;
        let named = || if is_name(name) { Ok(name.to_owned()) } else { Err(invalid()) };
        match kind {
            "node" => match name.parse::<u64>() {
                Ok(id) if id != 0 && id.to_string() == name => Ok(Self::Node(id)),
                _ => Err(invalid()),
            },
            "operator" => named().map(Self::Operator),
            "join" => named().map(Self::Join),
            "client" => named().map(Self::Client),
            _ => Err(invalid()),
        }
    }
}

/// Letters, digits, `.`, `_`, `@` and `-`: nothing that has a meaning in a URI, a path or a log line.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte))
}

/// The identity of the other end of a connection, read from its leaf certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The cluster for which the certificate was made.
    pub cluster_id: ClusterId,
    /// Its role.
    pub role: Role,
    /// Serial number of the certificate, lower-case hexadecimal.
    pub serial: String,
    /// First second of validity, since 1970.
    pub not_before: u64,
    /// Last second of validity, since 1970.
    pub not_after: u64,
}

impl PeerIdentity {
    /// Parses a leaf certificate. It checks no signature: the handshake does.
    ///
    /// # Errors
    /// When the bytes are not a certificate, or it does not have exactly one name.
    pub fn from_der(leaf: &[u8]) -> Result<Self, CertificateError> {
        let leaf = certificate::parse(leaf)?;
        let uri = certificate::only_uri(&leaf)?;
        let (cluster_id, role) = split_uri(uri).ok_or_else(|| CertificateError::Name { uri: printable(uri) })?;
        Ok(Self {
            cluster_id,
            role: role.parse().map_err(|_| CertificateError::Name { uri: printable(uri) })?,
            serial: certificate::serial(&leaf),
            not_before: certificate::seconds(leaf.validity().not_before),
            not_after: certificate::seconds(leaf.validity().not_after),
        })
    }

    /// When the certificate is valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        Validity { not_before: self.not_before, not_after: self.not_after }
    }

    /// The node's id, if it is a node.
    #[must_use]
    pub fn node_id(&self) -> Option<u64> {
        match self.role {
            Role::Node(id) => Some(id),
            Role::Operator(_) | Role::Join(_) | Role::Client(_) => None,
        }
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.role, formatter)
    }
}

/// `disco://<cluster-id>/<rest>`.
pub(crate) fn split_uri(uri: &str) -> Option<(ClusterId, &str)> {
    let (cluster, rest) = uri.strip_prefix("disco://")?.split_once('/')?;
    Some((cluster.parse().ok()?, rest))
}

/// For messages: untrusted names in a certificate are shortened and escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_read_as_it_is_written() {
        let named = [Role::Operator("anna@laptop".into()), Role::Join("4f-2".into()), Role::Client("billing".into())];
        for role in named.into_iter().chain([Role::Node(7)]) {
            assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let long = format!("operator/{}", "a".repeat(MAX_NAME + 1));
        for text in [
            "",
            "node",
            "node/",
            "node/0",
            "node/07",
            "node/+7",
            "node/7/",
            "node/7 ",
            "node/99999999999999999999",
            "Node/7",
            "operator/",
            "operator/a/b",
            "operator/a b",
            "operator/ä",
            "join/",
            "client/",
            "admin/x",
            "node/7\0",
            &long,
        ] {
            assert!(text.parse::<Role>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_uri_has_exactly_one_form() {
        let id = ClusterId::random();
        assert_eq!(split_uri(&Role::Node(3).uri(&id)), Some((id.clone(), "node/3")));
        for uri in [format!("DISCO://{id}/node/3"), format!("disco:/{id}/node/3"), "disco://x/node/3".into()] {
            assert_eq!(split_uri(&uri), None, "{uri}");
        }
    }
}
