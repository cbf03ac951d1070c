//! Contents of files: which are missing, and their upload.

use bytes::BytesMut;
use disco_proto::v1::{BlobPart, Empty, MissingBlobsRequest, MissingBlobsResponse};
use futures_util::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::forward::{Answer, relayed, to_leader};
use crate::node::Node;
use crate::script::blobs::{self, FILE_BYTES};

/// Hashes in one question.
const HASHES: usize = 10_000;

/// Of the given contents those that the cluster does not hold. What it holds stays for a while, for the push or deployment
/// that is to come.
pub(super) async fn missing(
    node: &Node,
    request: Request<MissingBlobsRequest>,
) -> Result<Response<MissingBlobsResponse>, Status> {
    let (metadata, _, MissingBlobsRequest { sha256 }) = request.into_parts();
    if sha256.len() > HASHES {
        return Err(Status::invalid_argument(format!("there are {} checksums, more than {HASHES}", sha256.len())));
    }
    if let Some(wrong) = sha256.iter().find(|sha256| !blobs::is_sha256(sha256)) {
        let wrong: String = wrong.chars().take(100).collect();
        return Err(Status::invalid_argument(format!("`{wrong}` is not a SHA-256 in lower-case hexadecimal")));
    }
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(MissingBlobsRequest { sha256 });
            forward.client.missing_blobs(request).await.map_err(relayed)
        }
        Answer::Here(_) => {
            node.raft().linearizable().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let commit = node.scripts().commits().await;
            node.scripts().idle_blobs(|idle| idle.touch(sha256.iter()));
            drop(commit);
            let absent = node.raft().store().read(|store| {
                let absent = sha256.into_iter().filter(|sha256| !blobs::exists(store, sha256));
                absent.collect()
            });
            Ok(Response::new(MissingBlobsResponse { sha256: absent }))
        }
    }
}

/// Takes a content and puts it into the store, on whichever node was asked.
pub(super) async fn put(node: &Node, mut parts: Streaming<BlobPart>) -> Result<Response<Empty>, Status> {
    let mut head: Option<(String, usize)> = None;
    let mut content = BytesMut::new();
    while let Some(part) = parts.next().await {
        let part = part?;
        let (_, size) = match &head {
            Some(head) => head,
            None => head.insert(first(&part)?),
        };
        if content.len() + part.data.len() > *size {
            return Err(Status::invalid_argument(format!(
                "there is more content than the {size} bytes that were said"
            )));
        }
        content.extend_from_slice(&part.data);
    }
    let Some((sha256, size)) = head else { return Err(Status::invalid_argument("there is no content")) };
    if content.len() != size {
        return Err(Status::invalid_argument(format!(
            "the content has {} of the {size} bytes that were said",
            content.len()
        )));
    }
    if blobs::name(&content) != sha256 {
        return Err(Status::invalid_argument(format!("the content does not have the checksum {sha256}")));
    }
    blobs::write(node, &sha256, content.freeze()).await.map_err(Status::from)?;
    Ok(Response::new(Empty {}))
}

/// Name and size of the content, from its first part.
fn first(part: &BlobPart) -> Result<(String, usize), Status> {
    if !blobs::is_sha256(&part.sha256) {
        return Err(Status::invalid_argument(
            "the first part does not name the content's SHA-256 in lower-case hexadecimal",
        ));
    }
    match usize::try_from(part.size) {
        Ok(size) if part.size <= FILE_BYTES => Ok((part.sha256.clone(), size)),
        _ => Err(Status::invalid_argument(format!(
            "a file has {} bytes, more than {FILE_BYTES} ({} MiB); name it in `.discoignore`",
            part.size,
            FILE_BYTES >> 20
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_says_what_comes() {
        let part = BlobPart { sha256: "ab".repeat(32), size: FILE_BYTES, ..BlobPart::default() };
        assert_eq!(first(&part).unwrap(), ("ab".repeat(32), 8 << 20));
        assert!(first(&BlobPart { size: FILE_BYTES + 1, ..part.clone() }).is_err());
        assert!(first(&BlobPart { sha256: "../x".into(), ..part }).is_err());
    }
}
