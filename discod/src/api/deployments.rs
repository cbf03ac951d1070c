//! Deployments, as clients ask for them and follow them.

use disco_proto::v1::{DeployOutput, DeployRequest};
use futures_util::StreamExt;
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::{Answer, relay, to_leader};
use crate::node::Node;
use crate::script;

pub(super) async fn deploy(
    node: &Node,
    request: Request<DeployRequest>,
) -> Result<Response<Answers<DeployOutput>>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            relay(forward.client.deploy(request).await)
        }
        Answer::Here(leader) => Ok(Response::new(script::deploy(&leader, message).await?.map(Ok).boxed())),
    }
}
