//! Transfer of leadership.

use crate::cluster::{Error, Result};
use crate::node::Node;
use crate::raft::Role;

/// Transfers leadership to a node, or to the one with the longest log. Only on the leader.
///
/// # Errors
/// The node is not a voter, or did not become leader.
pub async fn move_to(node: &Node, to: Option<u64>) -> Result<()> {
    if to == Some(node.id()) {
        return Ok(());
    }
    if let Some(to) = to {
        let members = node.raft().members();
        match members.iter().find(|member| member.id == to).map(|member| member.role) {
            Some(Role::Voter) => {}
            Some(Role::Learner) => {
                return Err(Error::Refused(format!("node {to} is not a voter, so it cannot lead")));
            }
            None => return Err(Error::NotFound(format!("node {to} does not exist"))),
        }
    }
    node.raft().transfer_leadership(to).await?;
    Ok(())
}
