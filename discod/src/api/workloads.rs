//! Changes of stacks, services and nodes' tasks.

use disco_proto::v1::{ChangeWorkloadsRequest, ChangeWorkloadsResponse};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use crate::cluster::workloads;
use crate::node::Node;

pub(super) async fn change(
    node: &Node,
    request: Request<ChangeWorkloadsRequest>,
) -> Result<Response<ChangeWorkloadsResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let mut request = forward.request(message);
            request.set_timeout(node.raft().pace().request_timeout() * 2);
            forward.client.change_workloads(request).await.map_err(relayed)
        }
        Answer::Here(leader) => Ok(Response::new(workloads::change(&leader, message).await?)),
    }
}
