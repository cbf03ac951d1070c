//! Runs of jobs.

use disco_proto::v1::{ChangeJobsRequest, ChangeJobsResponse};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use crate::cluster::workloads;
use crate::node::Node;

pub(super) async fn change(
    node: &Node,
    request: Request<ChangeJobsRequest>,
) -> Result<Response<ChangeJobsResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let mut request = forward.request(message);
            request.set_timeout(node.raft().pace().request_timeout() * 2);
            forward.client.change_jobs(request).await.map_err(relayed)
        }
        Answer::Here(leader) => Ok(Response::new(workloads::jobs::change(&leader, message).await?)),
    }
}
