//! Certificates of nodes: issued on a voter, renewed, and replaced at an operator's request.

mod signing_key;
mod warnings;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use disco_identity::{Authority, CertificateInfo, NODE_LIFETIME, Phase, Validity, unix_now};
use disco_proto::v1::Certificate;

use super::{Error, Result};
use crate::local::NotRenewed;
use crate::node::Node;
use crate::records::{self, NodeRecord};

pub use signing_key::{install as install_signing_key, request as request_signing_key, set_voter_secrets};
pub use warnings::warnings;

/// Time limit for a node to get its new certificate: an election may be in progress.
pub const RENEWED_WITHIN: Duration = Duration::from_secs(10);

/// The certificate in use.
#[must_use]
pub fn own(node: &Node) -> Certificate {
    let own = node.identity().own();
    let signer = node.identity().signer_serial().unwrap_or_default();
    Certificate { serial: own.serial, signer, not_before: own.not_before, not_after: own.not_after }
}

/// Requests a new certificate for this node immediately.
///
/// # Errors
/// The leader refuses, or none answers within [`RENEWED_WITHIN`].
pub async fn rotate(node: &Node) -> Result<Certificate> {
    node.renewal().now(RENEWED_WITHIN).await.map_err(|reason| match reason {
        NotRenewed::Refused(reason) => {
            Error::Refused(format!("cannot renew the certificate of node {}: {reason}", node.id()))
        }
        NotRenewed::NoAnswer => {
            Error::Unavailable(format!("cannot renew the certificate of node {}: no leader answers it", node.id()))
        }
    })?;
    Ok(own(node))
}

/// Issues a new certificate for a node that has one. Only on a voter.
///
/// # Errors
/// The node was removed, or this node has no accepted signing key.
pub fn renew(node: &Node, id: u64, signing_request: &str) -> Result<String> {
    let record = node.raft().store().read(|store| records::node(store, id));
    let record = record.ok_or_else(|| Error::Denied("this node was removed from the cluster".to_owned()))?;
    let chain = certify(&authority(node)?, &record, signing_request)?;
    tracing::info!(node = id, "issued a new certificate");
    Ok(chain)
}

/// Issues a certificate for the node, with the key of its request and the addresses of its record.
///
/// # Errors
/// The request is damaged.
pub(super) fn certify(authority: &Authority, record: &NodeRecord, signing_request: &str) -> Result<String> {
    let own = record.address.parse::<SocketAddr>().map_err(Error::internal)?.ip();
    let extra = record.extra_addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let addresses: Vec<IpAddr> = std::iter::once(own).chain(extra).collect();
    let validity = Validity::lasting(NODE_LIFETIME).ending_by(authority.not_after());
    let chain = authority.issue_node(signing_request, record.id, &addresses, validity);
    chain.map_err(|error| Error::Invalid(error.to_string()))
}

/// The signing key, as long as other nodes accept its certificates. Only on a voter.
///
/// # Errors
/// This node has no signing key, or its certificates are refused.
pub fn authority(node: &Node) -> Result<Authority> {
    let secrets = node.secrets();
    let secrets =
        secrets.ok_or_else(|| Error::Unavailable("this leader does not have the signing key yet".to_owned()))?;
    let authority = secrets.authority().map_err(Error::Internal)?;
    let retired = node
        .raft()
        .store()
        .read(records::signing)
        .is_some_and(|signing| signing.value.retired.iter().any(|serial| serial == authority.serial()));
    let reason = if authority.not_after() <= unix_now() {
        "the cluster's signing key has expired"
    } else if retired {
        "this leader's signing key was retired"
    } else {
        return Ok(authority);
    };
    Err(Error::Unavailable(format!("{reason}; hint: `disco cert rotate --signing-key` replaces it")))
}

/// The signing key in use as the leader holds it.
#[must_use]
pub fn signing_key(node: &Node) -> Option<CertificateInfo> {
    let chain = CertificateInfo::chain_from_pem(&node.secrets()?.intermediate_certificate);
    chain.ok().and_then(|chain| chain.into_iter().next())
}

/// Whether the signing key should be replaced because of its age.
#[must_use]
pub fn is_due(key: &CertificateInfo) -> bool {
    key.validity.phase(unix_now()) >= Phase::Due
}
