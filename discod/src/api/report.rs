//! Nodes' reports about themselves.

use disco_proto::v1::{ReportRequest, ReportResponse};
use tonic::{Request, Response, Status};

use crate::node::Node;

/// Takes a report on the leader; elsewhere tells who leads. Not forwarded: only the leader's own connection proves who reports.
pub(super) async fn report(node: &Node, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
    disco_identity::require_sender(&request, request.get_ref().node_id)?;
    let leadership = node.raft().leadership().borrow().clone();
    let leader = leadership.leader.unwrap_or(0);
    let taken = leadership.is_self;
    if taken && node.vitals().record(request.into_inner()) {
        node.wake_controllers();
    }
    let leader_address =
        if taken { node.address().to_string() } else { node.member_address(leader).unwrap_or_default() };
    Ok(Response::new(ReportResponse {
        leader,
        term: leadership.term,
        leader_address,
        taken,
        ..ReportResponse::default()
    }))
}
