//! The node that executes an operation.

use super::{Error, Result};
use crate::node::{Leader, Node, Route};
use crate::peers::{Hops, MemberClient};

/// The node that executes what only the leader can do.
pub enum Executor {
    /// This node.
    Here(Leader),
    /// Another node.
    There(MemberClient),
}

/// The leader. Waits for an election in progress.
///
/// # Errors
/// No leader is known in time, or the request was forwarded too often.
pub async fn leader(node: &Node, hops: Hops) -> Result<Executor> {
    leader_by(node, hops, |_, client| Some(client)).await
}

/// Like [`leader`], for answers that wait for clients: Raft's messages do not queue behind them.
///
/// # Errors
/// No leader is known in time, or the request was forwarded too often.
pub async fn leader_for_sessions(node: &Node, hops: Hops) -> Result<Executor> {
    leader_by(node, hops, |id, _| node.session_client(id)).await
}

/// The leader, through the client that `client_of` gives for its id.
async fn leader_by(
    node: &Node,
    hops: Hops,
    client_of: impl FnOnce(u64, MemberClient) -> Option<MemberClient>,
) -> Result<Executor> {
    let changed = || Error::Unavailable("leader changed; try again".to_owned());
    let limit = node.raft().pace().election_timeout() * 6;
    match node.route(limit).await? {
        Route::Here(term) => {
            let leader = node.leading(term, limit).await;
            leader.map(Executor::Here).ok_or_else(changed)
        }
        Route::There { id, client } => {
            let hops = hops.next(&format!("node {id} is now reported as the leader"))?;
            Ok(Executor::There(client_of(id, client).ok_or_else(changed)?.forwarding(hops)))
        }
    }
}

/// The connection to a given member; `None` if it is this node, or 0.
///
/// # Errors
/// The node does not exist, or the request was forwarded too often.
pub fn member(node: &Node, id: u64, hops: Hops) -> Result<Option<MemberClient>> {
    other(node, id, hops, Node::member_client)
}

/// Like [`member`], for what waits for clients: Raft's messages do not queue behind it.
///
/// # Errors
/// The node does not exist, or the request was forwarded too often.
pub fn member_for_sessions(node: &Node, id: u64, hops: Hops) -> Result<Option<MemberClient>> {
    other(node, id, hops, Node::session_client)
}

fn other(
    node: &Node,
    id: u64,
    hops: Hops,
    client: impl FnOnce(&Node, u64) -> Option<MemberClient>,
) -> Result<Option<MemberClient>> {
    if id == node.id() || id == 0 {
        return Ok(None);
    }
    let hops = hops.next(&format!("its target is node {id}"))?;
    let client = client(node, id).ok_or_else(|| Error::NotFound(format!("node {id} does not exist")))?;
    Ok(Some(client.forwarding(hops)))
}
