//! All nodes have come to new addresses at once: the operator tells each where the others are.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use disco_proto::v1::{Empty, RelocateRequest};
use tonic::{Response, Status};

use super::internal;
use crate::node::Node;

/// More nodes than any cluster has.
const MOST: usize = 1000;

pub(super) fn relocate(node: &Node, message: RelocateRequest) -> Result<Response<Empty>, Status> {
    if message.addresses.len() > MOST {
        return Err(Status::invalid_argument(format!("more than {MOST} addresses")));
    }
    let members = node.raft().members();
    let mut addresses = BTreeMap::new();
    for (id, address) in message.addresses {
        let parsed: Result<SocketAddr, _> = address.parse();
        let parsed = parsed.ok().filter(|address| address.port() != 0 && !address.ip().is_unspecified());
        let parsed = parsed.ok_or_else(|| {
            Status::invalid_argument(format!("`{address}` is no address of node {id}: expected `IP:PORT`"))
        })?;
        // One that this node does not know is none that it has to find.
        let member = members.iter().find(|member| member.id == id && id != node.id());
        if let Some(member) = member {
            addresses.insert(id, (member.info.address.clone(), parsed.to_string()));
        }
    }
    tracing::warn!(?addresses, "the operator says where the other nodes are");
    node.peers().set_overrides(addresses).map_err(internal)?;
    Ok(Response::new(Empty {}))
}
