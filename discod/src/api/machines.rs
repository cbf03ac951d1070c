//! The target size, how machines are started, and the plan of changes.

use disco_proto::v1::{ConfigureRequest, Empty, PlanRequest, PlanResponse, Progress, ScaleRequest};
use futures_util::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::{Answer, hops, relayed, to_leader};
use crate::cluster::machines::{configure, forecast, scale};
use crate::node::Node;

pub(super) async fn scale(node: &Node, request: Request<ScaleRequest>) -> Result<Response<Answers<Progress>>, Status> {
    let hops = hops(request.metadata());
    let steps = scale::scale(node, hops, request.into_inner()).await?;
    Ok(Response::new(steps.map_err(Status::from).boxed()))
}

pub(super) async fn configure(node: &Node, request: ConfigureRequest) -> Result<Response<Empty>, Status> {
    configure::configure(node, request).await?;
    Ok(Response::new(Empty {}))
}

/// The changes that the cluster would make by itself. Computing them has no effect.
pub(super) async fn plan(node: &Node, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.plan(request).await.map_err(relayed)
        }
        Answer::Here(leader) => Ok(Response::new(forecast::plan(&leader, message.nodes).await?)),
    }
}
