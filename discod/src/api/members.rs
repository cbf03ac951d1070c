//! Removal of nodes, and transfer of leadership.

use std::time::Duration;

use disco_proto::v1::{Empty, MoveLeaderRequest, Progress, RemoveNodeRequest};
use futures_util::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::{Answer, relay, relayed, to_leader};
use crate::cluster::nodes::{leadership, removal};
use crate::node::Node;

/// How long a node that hands over leadership waits before it forwards the request to the new leader.
const SETTLE: Duration = Duration::from_secs(10);

pub(super) async fn remove(
    node: &Node,
    request: Request<RemoveNodeRequest>,
) -> Result<Response<Answers<Progress>>, Status> {
    let (metadata, _, message) = request.into_parts();
    let mut answer = to_leader(node, &metadata).await?;
    if let Answer::Here(leader) = &answer {
        removal::check_member(leader, message.node_id, message.force).await?;
        if message.node_id == node.id() {
            // The work continues on the new leader.
            leadership::move_to(node, None).await?;
            answer = tokio::time::timeout(SETTLE, to_leader(node, &metadata))
                .await
                .map_err(|_| Status::unavailable("no other node became leader"))??;
        }
    }
    match answer {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            relay(forward.client.remove_node(request).await)
        }
        Answer::Here(leader) => {
            let steps = removal::start(&leader, message.node_id, message.force);
            Ok(Response::new(steps.map_err(Status::from).boxed()))
        }
    }
}

pub(super) async fn move_leader(node: &Node, request: Request<MoveLeaderRequest>) -> Result<Response<Empty>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.move_leader(request).await.map_err(relayed)
        }
        Answer::Here(_) => {
            leadership::move_to(node, (message.to != 0).then_some(message.to)).await?;
            Ok(Response::new(Empty {}))
        }
    }
}
