//! The nodes to which this node can open new connections.
//!
//! A connection that has been open for days does not show that: a newly enabled firewall leaves it alone.

use std::collections::BTreeSet;

use disco_identity::Expect;
use futures_util::future::join_all;

use super::Node;

/// Those of the members to which a new connection succeeds, and that prove their identity, within
/// [`Pace::reach_within`](crate::raft::Pace::reach_within).
pub async fn reached(node: &Node, ids: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    let limit = node.raft().pace().reach_within();
    let tries = ids.into_iter().filter_map(|id| Some((id, node.member_address(id)?))).map(|(id, address)| async move {
        let connection = disco_identity::connect(&address, node.identity(), Expect::Node(id), limit).await;
        connection.is_ok().then_some(id)
    });
    join_all(tries).await.into_iter().flatten().collect()
}
