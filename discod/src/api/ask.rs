//! The control service as the daemon's own parts ask it: the same handlers, without a connection to itself.

use std::time::Duration;

use disco_proto::v1::{
    CopyFileRequest, RangeRequest, RangeResponse, ReadRequest, RunCommandRequest, RunCommandResponse, ScaleRequest,
    StatusRequest, StatusResponse,
};
use futures_util::StreamExt;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use crate::node::Node;

/// Pause before a read is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// How the cluster is, as the leader sees it.
pub(crate) async fn status(node: &Node) -> Result<StatusResponse, Status> {
    super::status::status(node, Request::new(StatusRequest { stale: false })).await.map(Response::into_inner)
}

/// What the store holds, after everything that was acknowledged before. An election that goes on is waited for.
pub(crate) async fn range(node: &Node, range: RangeRequest) -> Result<RangeResponse, Status> {
    let deadline = Instant::now() + node.raft().pace().election_timeout() * 6;
    loop {
        let request = ReadRequest { range: Some(range.clone()), stale: false };
        match super::kv::range(node, Request::new(request)).await {
            Err(status) if status.code() == Code::Unavailable && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            answer => return answer.map(Response::into_inner),
        }
    }
}

/// All keys that begin so.
pub(crate) fn prefix(prefix: &str) -> RangeRequest {
    RangeRequest {
        key: bytes::Bytes::copy_from_slice(prefix.as_bytes()),
        range_end: disco_store::prefix_end(prefix.as_bytes()).into(),
        ..RangeRequest::default()
    }
}

/// Wishes a number of nodes and waits until they are there.
pub(crate) async fn scale(node: &Node, nodes: u32) -> Result<(), Status> {
    let request = ScaleRequest { nodes, ..ScaleRequest::default() };
    let mut steps = super::scale::scale(node, Request::new(request)).await?.into_inner();
    while let Some(step) = steps.next().await {
        step?;
    }
    Ok(())
}

/// Runs a command on a node.
pub(crate) async fn run_command(node: &Node, request: RunCommandRequest) -> Result<RunCommandResponse, Status> {
    super::run::command(node, Request::new(request)).await.map(Response::into_inner)
}

/// The time that a command may take; 0 asks for the default.
pub(crate) fn command_limit(timeout_ms: u32) -> Duration {
    super::run::limit(timeout_ms)
}

/// Puts a part of a file on a node.
pub(crate) async fn copy_file(node: &Node, request: CopyFileRequest) -> Result<(), Status> {
    super::run::copy(node, Request::new(request)).await.map(|_| ())
}
