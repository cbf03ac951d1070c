//! The number of nodes.

use disco_proto::v1::{Progress, ScaleRequest};
use futures_util::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::hops;
use crate::cluster::machines::scale;
use crate::node::Node;

pub(super) async fn scale(node: &Node, request: Request<ScaleRequest>) -> Result<Response<Answers<Progress>>, Status> {
    let hops = hops(request.metadata());
    let steps = scale::scale(node, hops, request.into_inner()).await?;
    Ok(Response::new(steps.map_err(Status::from).boxed()))
}
