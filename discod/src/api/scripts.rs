//! Versions of `cluster.js`, and deployments.

use disco_proto::v1::{DeployOutput, DeployRequest, PushScriptRequest, PushScriptResponse};
use futures_util::StreamExt;
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::{Answer, relay, relayed, to_leader_for_sessions};
use crate::node::Node;
use crate::script::{self, Scripts};

pub(super) async fn deploy(
    node: &Node,
    scripts: &Scripts,
    request: Request<DeployRequest>,
) -> Result<Response<Answers<DeployOutput>>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader_for_sessions(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            relay(forward.client.deploy(request).await)
        }
        Answer::Here(leader) => Ok(Response::new(script::deploy(&leader, scripts, message).await?.map(Ok).boxed())),
    }
}

pub(super) async fn push(
    node: &Node,
    request: Request<PushScriptRequest>,
) -> Result<Response<PushScriptResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    // `init` may take its time limit, and the nodes theirs to load it.
    match to_leader_for_sessions(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.push_script(request).await.map_err(relayed)
        }
        Answer::Here(leader) => Ok(Response::new(script::push(leader, message).await?)),
    }
}
