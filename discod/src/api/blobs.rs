//! Contents of files: which of them are missing, and their upload.

use disco_proto::v1::{BlobPart, Empty, MissingBlobsRequest, MissingBlobsResponse};
use tonic::{Request, Response, Status, Streaming};

use super::forward::{Answer, relayed, to_leader};
use crate::cluster::scripts::{Upload, blobs};
use crate::node::Node;

/// Of the given contents, those that the cluster does not have.
pub(super) async fn missing(
    node: &Node,
    request: Request<MissingBlobsRequest>,
) -> Result<Response<MissingBlobsResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    blobs::check_names(&message.sha256)?;
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.missing_blobs(request).await.map_err(relayed)
        }
        Answer::Here(leader) => {
            let sha256 = blobs::missing(&leader, message.sha256).await?;
            Ok(Response::new(MissingBlobsResponse { sha256 }))
        }
    }
}

/// Stores a content, on whichever node received the request.
pub(super) async fn put(node: &Node, mut parts: Streaming<BlobPart>) -> Result<Response<Empty>, Status> {
    let Some(first) = parts.message().await? else { return Err(Status::invalid_argument("content is missing")) };
    let mut upload = Upload::begin(&first.sha256, first.size)?;
    upload.write(&first.data)?;
    while let Some(part) = parts.message().await? {
        upload.write(&part.data)?;
    }
    upload.finish(node).await?;
    Ok(Response::new(Empty {}))
}
