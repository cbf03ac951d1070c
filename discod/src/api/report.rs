//! Nodes' reports about themselves, and the certificates that they ask for with them.

use disco_proto::v1::{ReportRequest, ReportResponse};
use tonic::{Request, Response, Status};

use super::{internal, join};
use crate::node::Node;
use crate::records;

/// Takes a report on the leader; elsewhere tells who leads. Not forwarded: only the leader's own connection proves who reports.
pub(super) async fn report(node: &Node, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
    disco_identity::require_sender(&request, request.get_ref().node_id)?;
    let leadership = node.raft().leadership().borrow().clone();
    let leader = leadership.leader.unwrap_or(0);
    let taken = leadership.is_self;
    let mut certificate_chain = String::new();
    if taken {
        let mut report = request.into_inner();
        let signing_request = std::mem::take(&mut report.signing_request);
        if !signing_request.is_empty() {
            certificate_chain = renew(node, report.node_id, &signing_request)?;
        }
        if node.vitals().record(report) {
            node.wake_controllers();
        }
    }
    let leader_address =
        if taken { node.address().to_string() } else { node.member_address(leader).unwrap_or_default() };
    let term = leadership.term;
    Ok(Response::new(ReportResponse { leader, term, certificate_chain, leader_address, taken }))
}

/// A new certificate for a node that has one. Only on a voter.
pub(crate) fn renew(node: &Node, id: u64, signing_request: &str) -> Result<String, Status> {
    let record = node.raft().store().read(|store| records::node(store, id));
    let record = record.ok_or_else(|| Status::permission_denied("this node was removed from the cluster"))?;
    let secrets = node.secrets().ok_or_else(|| Status::unavailable("this leader does not have the signing key yet"))?;
    let chain = join::certify(&secrets.authority().map_err(internal)?, &record, signing_request)?;
    tracing::info!(node = id, "gave a new certificate");
    Ok(chain)
}
