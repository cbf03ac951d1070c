//! Recovery after all nodes changed their addresses at once: the operator sends each node the addresses of the others.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::cluster::{Error, Result};
use crate::node::Node;

/// No cluster has more nodes.
const MOST: usize = 1000;

/// Sets the addresses of the other nodes, by their ids.
///
/// # Errors
/// An address is invalid, or they cannot be recorded.
pub fn relocate(
    node: &Node,
    given: impl IntoIterator<Item = (u64, String), IntoIter: ExactSizeIterator>,
) -> Result<()> {
    let given = given.into_iter();
    if given.len() > MOST {
        return Err(Error::Invalid(format!("too many addresses: at most {MOST} are allowed")));
    }
    let members = node.raft().members();
    let mut addresses = BTreeMap::new();
    for (id, address) in given {
        let parsed =
            address.parse::<SocketAddr>().ok().filter(|address| address.port() != 0 && !address.ip().is_unspecified());
        let parsed = parsed
            .ok_or_else(|| Error::Invalid(format!("invalid address `{address}` of node {id}: expected IP:PORT")))?;
        // A node that is unknown to this one need not be reached.
        let member = members.iter().find(|member| member.id == id && id != node.id());
        if let Some(member) = member {
            addresses.insert(id, (member.info.address.clone(), parsed.to_string()));
        }
    }
    tracing::warn!(?addresses, "the operator set the addresses of the other nodes");
    node.peers().set_overrides(addresses).map_err(Error::internal)?;
    Ok(())
}
