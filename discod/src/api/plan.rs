//! What the cluster would do by itself. Nothing is done for the answer.

use disco_proto::v1::{PlanRequest, PlanResponse};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use super::internal;
use crate::cluster::machines::scale::check;
use crate::controllers::instances::foresight::foresee;
use crate::controllers::members::planned;
use crate::node::Node;
use crate::records;

pub(super) async fn plan(node: &Node, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Answer::There(mut forward) = to_leader(node, &metadata).await? {
        let request = forward.request(message);
        return forward.client.plan(request).await.map_err(relayed);
    }
    let desired = match message.nodes {
        Some(nodes) => {
            check(node, nodes).await?;
            nodes
        }
        // Nobody has wished for a number yet: as many as there are.
        None => {
            let members = u32::try_from(planned(node).len()).unwrap_or(u32::MAX);
            node.raft().store().read(records::desired_nodes).unwrap_or(members)
        }
    };
    let foreseen = foresee(node, desired).await;
    foreseen.map(Response::new).map_err(internal)
}
