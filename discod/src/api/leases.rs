//! The time of leases: counted by the leader, asked for and renewed at any node.

use disco_proto::v1::{LeaseTimeRequest, LeaseTimeResponse};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use crate::node::Node;

/// What a lease has left; with `renew`, after it was given its whole time again.
pub(super) async fn time(
    node: &Node,
    request: Request<LeaseTimeRequest>,
) -> Result<Response<LeaseTimeResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    let term = match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let mut request = forward.request(message);
            request.set_timeout(node.raft().pace().request_timeout());
            return forward.client.lease_time(request).await.map_err(relayed);
        }
        Answer::Here(term) => term,
    };
    // A leader that was deposed without noticing must not say that a lease lives, nor one that has not applied all yet that
    // there is none.
    let limit = node.raft().pace().request_timeout();
    node.raft().read_barrier(limit).await.map_err(|error| Status::unavailable(error.to_string()))?;
    let answer = node.raft().store().read(|store| {
        let Some(lease) = store.lease(message.id) else { return Some(LeaseTimeResponse::default()) };
        if message.renew && !node.lessor().renew(term, lease)? {
            return Some(LeaseTimeResponse::default());
        }
        let remaining_ms = node.lessor().remaining_ms(term, lease)?;
        Some(LeaseTimeResponse { found: true, ttl: lease.ttl(), remaining_ms })
    });
    answer.map(Response::new).ok_or_else(|| Status::unavailable("leadership has just changed; try again"))
}
