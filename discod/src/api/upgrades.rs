//! The right to upgrade the cluster.

use disco_proto::v1::{ClaimUpgradeRequest, ClaimUpgradeResponse};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use crate::cluster::upgrade;
use crate::node::Node;

pub(super) async fn claim(
    node: &Node,
    request: Request<ClaimUpgradeRequest>,
) -> Result<Response<ClaimUpgradeResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    upgrade::check(&message)?;
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let mut request = forward.request(message);
            request.set_timeout(node.raft().pace().request_timeout() * 2);
            forward.client.claim_upgrade(request).await.map_err(relayed)
        }
        Answer::Here(leader) => Ok(Response::new(upgrade::claim(&leader, &message).await?)),
    }
}
