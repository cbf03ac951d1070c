//! Forwarding of requests to the node that they are for.

use std::error::Error;

use disco_proto::v1::control_client::ControlClient;
use futures_util::{StreamExt, TryStreamExt};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, write_status};
use crate::grpc;
use crate::node::{Node, Route, control_client};

/// How often a request was forwarded.
const HOPS: &str = "disco-hops";
const MAX_HOPS: u32 = 2;

/// Who answers a request.
pub(super) enum Answer {
    /// This node leads, in the given term.
    Here(u64),
    /// Another node.
    There(Forward),
}

/// The way to another node, and what the forwarded request has to say.
pub(super) struct Forward {
    pub(super) client: ControlClient<Channel>,
    hops: u32,
}

// === impl Forward ===

impl Forward {
    /// The request as it goes on.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(HOPS, self.hops.into());
        request
    }
}

/// What the caller hears where the way to the other node broke: whether it was done is not known, and asking again may tell.
/// Only the connection's errors have a source; what the other node has answered goes on as it is.
pub(super) fn relayed(status: Status) -> Status {
    match status.source() {
        Some(_) => Status::unavailable(grpc::describe(&status)),
        None => status,
    }
}

/// The same for an answer in many parts, at each of them.
pub(super) fn relay<T: Send + 'static>(
    answer: Result<Response<Streaming<T>>, Status>,
) -> Result<Response<Answers<T>>, Status> {
    answer.map(|answer| Response::new(answer.into_inner().map_err(relayed).boxed())).map_err(relayed)
}

/// Whether this node answers as the leader, or who does.
pub(super) async fn to_leader(node: &Node, metadata: &MetadataMap) -> Result<Answer, Status> {
    let limit = node.raft().pace().election_timeout() * 6;
    match node.route(limit).await.map_err(write_status)? {
        Route::Here(term) => Ok(Answer::Here(term)),
        Route::There { id, channel } => {
            let hops = next_hop(metadata, &format!("now node {id} is said to lead"))?;
            Ok(Answer::There(Forward { client: control_client(channel), hops }))
        }
    }
}

/// The way to a given member; `None` where that is this node.
pub(super) fn to_node(node: &Node, id: u64, metadata: &MetadataMap) -> Result<Option<Forward>, Status> {
    if id == node.id() || id == 0 {
        return Ok(None);
    }
    let hops = next_hop(metadata, &format!("it is for node {id}"))?;
    let client = node.member_client(id).ok_or_else(|| Status::not_found(format!("there is no node {id}")))?;
    Ok(Some(Forward { client, hops }))
}

fn next_hop(metadata: &MetadataMap, whereto: &str) -> Result<u32, Status> {
    let hops = metadata.get(HOPS).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u32>().ok());
    let hops = hops.unwrap_or(0);
    if hops >= MAX_HOPS {
        return Err(Status::unavailable(format!("the request was forwarded {hops} times and {whereto}; try again")));
    }
    Ok(hops + 1)
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
