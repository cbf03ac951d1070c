//! What a node measures.

use disco_proto::v1::{MetricsRequest, MetricsResponse, UsageRequest, UsageResponse};
use tonic::{Request, Response, Status};

use super::forward::{relayed, to_node};
use crate::cluster::metrics;
use crate::node::Node;

pub(super) async fn usage(node: &Node, request: Request<UsageRequest>) -> Result<Response<UsageResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node(node, message.node_id, &metadata)? {
        let request = forward.request(message);
        return forward.client.usage(request).await.map_err(relayed);
    }
    Ok(Response::new(metrics::usage(node).await?))
}

pub(super) async fn metrics(
    node: &Node,
    request: Request<MetricsRequest>,
) -> Result<Response<MetricsResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node(node, message.node_id, &metadata)? {
        let request = forward.request(message);
        return forward.client.metrics(request).await.map_err(relayed);
    }
    Ok(Response::new(MetricsResponse { text: metrics::text(node).await? }))
}
