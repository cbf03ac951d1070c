//! Whether this node can reach other nodes.

use disco_proto::v1::{ReachRequest, ReachResponse};
use tonic::{Request, Response, Status};

use crate::node::Node;

/// One cluster has no more voters than this.
const MOST: usize = 16;

/// Opens new connections to the given members, at the addresses known to this node.
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
