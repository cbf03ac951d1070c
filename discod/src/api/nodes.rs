//! Requests about nodes: status, commands, files.

use disco_proto::v1::{
    CopyFileRequest, Empty, RecoverRequest, RelocateRequest, RunCommandRequest, RunCommandResponse, StatusRequest,
    StatusResponse,
};
use tonic::{Request, Response, Status};

use super::forward::hops;
use crate::cluster::nodes::{recover, relocate, run, status};
use crate::node::Node;

pub(super) async fn status(node: &Node, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
    let hops = hops(request.metadata());
    Ok(Response::new(status::status(node, hops, request.into_inner()).await))
}

pub(super) async fn command(
    node: &Node,
    request: Request<RunCommandRequest>,
) -> Result<Response<RunCommandResponse>, Status> {
    let hops = hops(request.metadata());
    Ok(Response::new(run::command(node, hops, request.into_inner()).await?))
}

pub(super) async fn copy(node: &Node, request: Request<CopyFileRequest>) -> Result<Response<Empty>, Status> {
    let hops = hops(request.metadata());
    run::copy(node, hops, request.into_inner()).await?;
    Ok(Response::new(Empty {}))
}

pub(super) async fn recover(node: &Node, message: RecoverRequest) -> Result<Response<Empty>, Status> {
    recover::recover(node, message.lost).await?;
    Ok(Response::new(Empty {}))
}

pub(super) fn relocate(node: &Node, message: RelocateRequest) -> Result<Response<Empty>, Status> {
    relocate::relocate(node, message.addresses)?;
    Ok(Response::new(Empty {}))
}
