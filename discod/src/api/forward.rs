//! Forwarding of requests to the node that they are for.

use disco_proto::v1::control_client::ControlClient;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::write_status;
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
