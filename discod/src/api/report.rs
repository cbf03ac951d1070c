//! Nodes' reports about themselves, and the certificates that they ask for with them.

use disco_proto::v1::{ReportRequest, ReportResponse};
use tonic::{Request, Response, Status};

use super::{certificate, join};
use crate::node::Node;
use crate::records;

/// Takes a report on the leader; elsewhere tells who leads. Not forwarded: only the leader's own connection proves who reports.
pub(super) async fn report(node: &Node, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
    disco_identity::require_sender(&request, request.get_ref().node_id)?;
    let leadership = node.raft().leadership().borrow().clone();
    let leader = leadership.leader.unwrap_or(0);
    let taken = leadership.is_self;
    let (mut certificate_chain, mut certificate_refusal) = (String::new(), String::new());
    if taken {
        let mut report = request.into_inner();
        let signing_request = std::mem::take(&mut report.signing_request);
        if !signing_request.is_empty() {
            // A node that cannot have a new certificate now lives all the same.
            match renew(node, report.node_id, &signing_request) {
                Ok(chain) => certificate_chain = chain,
                Err(status) => status.message().clone_into(&mut certificate_refusal),
            }
        }
        if node.vitals().record(report) {
            node.wake_controllers();
        }
    }
    let leader_address =
        if taken { node.address().to_string() } else { node.member_address(leader).unwrap_or_default() };
    let term = leadership.term;
    Ok(Response::new(ReportResponse { leader, term, certificate_chain, leader_address, taken, certificate_refusal }))
}

/// A new certificate for a node that has one. Only on a voter.
pub(crate) fn renew(node: &Node, id: u64, signing_request: &str) -> Result<String, Status> {
    let record = node.raft().store().read(|store| records::node(store, id));
    let record = record.ok_or_else(|| Status::permission_denied("this node was removed from the cluster"))?;
    let chain = join::certify(&certificate::authority(node)?, &record, signing_request)?;
    tracing::info!(node = id, "gave a new certificate");
    Ok(chain)
}
