//! The report of a daemon's unexpected end, sent by its supervisor. As with ordinary reports only the leader accepts
//! it: the connection proves which node sends it, so it cannot be forwarded.

use disco_proto::v1::{ReportEndRequest, ReportResponse};
use tonic::{Request, Response, Status};

use super::report::leader;
use crate::node::Node;

/// Accepts the report on the leader; any other node answers who leads.
pub(super) async fn report_end(
    node: &Node,
    request: Request<ReportEndRequest>,
) -> Result<Response<ReportResponse>, Status> {
    disco_identity::require_sender(&request, request.get_ref().node_id)?;
    let leadership = node.raft().leadership().borrow().clone();
    let id = leadership.leader.unwrap_or(0);
    let mut answer = ReportResponse { leader: id, term: leadership.term, ..ReportResponse::default() };
    let Some(leader) = leader(node, &leadership).await else {
        answer.leader_address = node.member_address(id).unwrap_or_default();
        return Ok(Response::new(answer));
    };
    let ReportEndRequest { node_id, ends } = request.into_inner();
    if node.member_address(node_id).is_none() {
        return Err(Status::failed_precondition(format!("node {node_id} is not a member")));
    }
    if node_id == node.id() {
        // The daemon answers, so it is running: the report comes from another program on a copy of its folder, or too
        // late to matter.
        return Err(Status::failed_precondition("the daemon of this node is running"));
    }
    let ends = ends.ok_or_else(|| Status::invalid_argument("`ends` is missing"))?;
    leader.reports().record_ends(node_id, Some(ends), false);
    answer.leader_address = node.address().to_string();
    answer.taken = true;
    Ok(Response::new(answer))
}
