//! Certificates: one for a node at once, and what an operator should know about those in use.

use std::time::Duration;

use disco_identity::{Authority, CertificateInfo, Phase, Validity, unix_now};
use disco_proto::v1::{Certificate, NodeStatus, RotateCertificateRequest, RotateCertificateResponse};
use tonic::{Request, Response, Status};

use super::forward::{relayed, to_node};
use super::internal;
use crate::agent::{self, NotRenewed};
use crate::node::Node;
use crate::records;

/// How long a node may take to get its new certificate: an election may go on.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the answer may take besides that.
const AROUND: Duration = Duration::from_secs(2);

pub(super) async fn rotate(
    node: &Node,
    request: Request<RotateCertificateRequest>,
) -> Result<Response<RotateCertificateResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node(node, message.node_id, &metadata)? {
        let mut request = forward.request(message);
        request.set_timeout(LIMIT + AROUND);
        // Connections end when a signing key is retired, which a renewal may be the last step to.
        return forward.client.rotate_certificate(request).await.map_err(relayed);
    }
    node.renewal().now(LIMIT).await.map_err(|reason| match reason {
        NotRenewed::Refused(reason) => {
            Status::failed_precondition(format!("node {} got no new certificate: {reason}", node.id()))
        }
        NotRenewed::NoAnswer => {
            Status::unavailable(format!("node {} got no new certificate: no leader answers it", node.id()))
        }
    })?;
    Ok(Response::new(RotateCertificateResponse { certificate: Some(agent::own_certificate(node)) }))
}

/// The signing key, as long as what is made with it is accepted. Only on a voter.
pub(super) fn authority(node: &Node) -> Result<Authority, Status> {
    let secrets = node.secrets().ok_or_else(|| Status::unavailable("this leader does not have the signing key yet"))?;
    let authority = secrets.authority().map_err(internal)?;
    let retired = node
        .raft()
        .store()
        .read(records::signing)
        .is_some_and(|signing| signing.value.retired.iter().any(|serial| serial == authority.serial()));
    let reason = if authority.not_after() <= unix_now() {
        "the cluster's signing key has expired"
    } else if retired {
        "the signing key of this leader was retired"
    } else {
        return Ok(authority);
    };
    Err(Status::unavailable(format!("{reason}; hint: `disco cert rotate --signing-key` replaces it")))
}

/// The signing key in use as the leader holds it.
pub(super) fn signing_key(node: &Node) -> Option<CertificateInfo> {
    let chain = CertificateInfo::chain_from_pem(&node.secrets()?.intermediate_certificate);
    chain.ok().and_then(|chain| chain.into_iter().next())
}

/// Whether the signing key should be replaced because of its age.
pub(super) fn is_due(key: &CertificateInfo) -> bool {
    key.validity.phase(unix_now()) >= Phase::Due
}

/// What an operator should know: certificates that were not renewed in time, and the signing key's end.
pub(super) fn warnings(nodes: &[NodeStatus], signing_key: Option<&CertificateInfo>) -> Vec<String> {
    let now = unix_now();
    let key = signing_key.filter(|key| is_due(key)).map(|key| {
        let replaced = "`disco cert rotate --signing-key` by the operator who holds `.disco/ca.key` replaces it";
        format!("the signing key {}; {replaced}", ends(key.validity, now))
    });
    let late = nodes.iter().filter_map(|node| Some((node, validity(node.certificate.as_ref()?))));
    let late = late.filter(|(_, validity)| validity.is_overdue(now)).map(|(node, validity)| {
        let name = &node.name;
        format!(
            "the certificate of `{name}` {} and was not renewed; `disco cert rotate {name}` says why",
            ends(validity, now)
        )
    });
    key.into_iter().chain(late).collect()
}

fn validity(certificate: &Certificate) -> Validity {
    Validity { not_before: certificate.not_before, not_after: certificate.not_after }
}

fn ends(validity: Validity, now: u64) -> String {
    let at = i64::try_from(validity.not_after).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    let at = at.map_or_else(|| "at an unknown time".to_owned(), |at| format!("at {at}"));
    if validity.phase(now) == Phase::Expired { format!("has ended {at}") } else { format!("ends {at}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn node(name: &str, left: i64) -> NodeStatus {
        let not_after = unix_now().checked_add_signed(left).unwrap();
        let certificate = Certificate { not_before: not_after - 30 * DAY, not_after, ..Certificate::default() };
        NodeStatus { name: name.to_owned(), certificate: Some(certificate), ..NodeStatus::default() }
    }

    #[test]
    fn what_renews_itself_in_time_is_not_worth_a_word() {
        let day = 86_400;
        let nodes = [node("new", 30 * day), node("due", 9 * day), node("late", 4 * day), node("gone", -day)];
        let warnings = warnings(&nodes, None);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("the certificate of `late` ends at "), "{warnings:?}");
        assert!(warnings[1].starts_with("the certificate of `gone` has ended at "), "{warnings:?}");
        assert!(warnings[1].contains("`disco cert rotate gone`"), "{warnings:?}");
    }

    #[test]
    fn a_node_that_has_reported_nothing_is_left_alone() {
        assert_eq!(warnings(&[NodeStatus::default()], None), Vec::<String>::new());
    }
}
