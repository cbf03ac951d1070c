//! Forwarding of requests to the node that they are for.

use disco_proto::v1::control_client::ControlClient;
use futures_util::{StreamExt, TryStreamExt};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::Answers;
use crate::cluster::{self, Executor};
use crate::node::{Leader, Node};
use crate::peers::{HOPS, Hops, MemberClient, RemoteError};

/// The node that answers a request.
pub(super) enum Answer {
    /// This node leads.
    Here(Leader),
    /// Another node.
    There(Forward),
}

/// The connection to another node, and the metadata of the forwarded request.
pub(super) struct Forward {
    pub(super) client: ControlClient<Channel>,
    hops: Hops,
}

impl From<Executor> for Answer {
    fn from(executor: Executor) -> Self {
        match executor {
            Executor::Here(leader) => Self::Here(leader),
            Executor::There(client) => Self::There(Forward::by(client)),
        }
    }
}

// === impl Forward ===

impl Forward {
    fn by(client: MemberClient) -> Self {
        Self { hops: client.hops(), client: client.into_inner() }
    }

    /// The request as it is forwarded.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(HOPS, self.hops.count().into());
        request
    }
}

/// The status that the caller receives if the connection to the other node broke: outcome unknown, and a retry may
/// tell. Only errors of the connection have a source; the other node's own status is passed on unchanged.
pub(super) fn relayed(status: Status) -> Status {
    match std::error::Error::source(&status) {
        Some(_) => RemoteError::from(status).into(),
        None => status,
    }
}

/// Like `relayed`, for each part of a streamed answer.
pub(super) fn relay<T: Send + 'static>(
    answer: Result<Response<Streaming<T>>, Status>,
) -> Result<Response<Answers<T>>, Status> {
    answer.map(|answer| Response::new(answer.into_inner().map_err(relayed).boxed())).map_err(relayed)
}

/// Whether this node answers as the leader, or which node does.
pub(super) async fn to_leader(node: &Node, metadata: &MetadataMap) -> Result<Answer, Status> {
    Ok(cluster::leader(node, hops(metadata)).await?.into())
}

/// The same for an answer that waits for its client, on a connection of its own.
pub(super) async fn to_leader_for_sessions(node: &Node, metadata: &MetadataMap) -> Result<Answer, Status> {
    Ok(cluster::leader_for_sessions(node, hops(metadata)).await?.into())
}

/// The connection to a given member; `None` if that is this node.
pub(super) fn to_node(node: &Node, id: u64, metadata: &MetadataMap) -> Result<Option<Forward>, Status> {
    Ok(cluster::member(node, id, hops(metadata))?.map(Forward::by))
}

/// The same for what waits for clients, on a connection of its own.
pub(super) fn to_node_for_sessions(node: &Node, id: u64, metadata: &MetadataMap) -> Result<Option<Forward>, Status> {
    Ok(cluster::member_for_sessions(node, id, hops(metadata))?.map(Forward::by))
}

/// How often the request has been forwarded.
pub(super) fn hops(metadata: &MetadataMap) -> Hops {
    let count = metadata.get(HOPS).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    Hops::new(count.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_broken_connection_is_no_answer_and_an_answer_is_no_broken_connection() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let relayed_error = relayed(Status::from_error(Box::new(broken)));
        assert_eq!(relayed_error.code(), Code::Unavailable);
        assert!(relayed_error.message().contains("connection reset"), "{relayed_error}");
        for answer in [Status::unknown("what"), Status::not_found("there is no node 9"), Status::internal("a bug")] {
            assert_eq!(relayed(answer.clone()).code(), answer.code());
            assert_eq!(relayed(answer.clone()).message(), answer.message());
        }
    }
}
