//! Whom a node can call.

use disco_proto::v1::{ReachRequest, ReachResponse};
use tonic::{Request, Response, Status};

use crate::node::Node;

/// More are not voters of one cluster.
const MOST: usize = 16;

/// Tries new connections to the given members, at the addresses that this node knows of them.
pub(super) async fn reach(node: &Node, request: Request<ReachRequest>) -> Result<Response<ReachResponse>, Status> {
    disco_identity::require_node(&request)?;
    let nodes = request.into_inner().nodes;
    if nodes.len() > MOST {
        return Err(Status::invalid_argument(format!(
            "too many nodes: {}; at most {MOST} can be tried at once",
            nodes.len()
        )));
    }
    let reached = crate::node::reached(node, nodes).await.into_iter().collect();
    Ok(Response::new(ReachResponse { reached }))
}
