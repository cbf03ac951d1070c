//! Recovery from a lost quorum: the operator gives up nodes, and this one continues as the only member.

use std::time::Duration;

use disco_proto::v1::StatusRequest;
use futures_util::future::join_all;

use crate::cluster::{Error, Result};
use crate::node::Node;
use crate::raft::{Member, Recovery, Role};

/// Time limit for another voter to answer. A cluster could not use a voter that needs longer.
const ANSWER: Duration = Duration::from_secs(3);

/// Restarts this node as the only member, without the `lost` ones.
///
/// # Errors
/// The cluster has a quorum, a node is not lost, or another one has more of the log.
pub async fn recover(node: &Node, lost: Vec<u64>) -> Result<()> {
    let members = node.raft().members();
    let voters: Vec<&Member> = members.iter().filter(|member| member.role == Role::Voter).collect();
    if !members.iter().any(|member| member.id == node.id()) {
        return Err(Error::Refused("this node is not a member, so the cluster cannot be recovered from it".to_owned()));
    }
    let others = voters.iter().filter(|voter| voter.id != node.id());
    let answers = join_all(others.map(|voter| async { Some((voter.id, log_of(node, voter.id).await?)) })).await;
    let answers: Vec<(u64, (u64, u64))> = answers.into_iter().flatten().collect();
    let alive: Vec<u64> = answers.iter().map(|(id, _)| *id).collect();
    let own = usize::from(voters.iter().any(|voter| voter.id == node.id()));
    if (alive.len() + own) * 2 > voters.len() {
        return Err(Error::Refused(format!(
            "{} of {} voters answer, which is a quorum: the cluster does not need recovery\nhint: `disco status` shows its state; \
             `disco node rm NODE` removes a dead node",
            alive.len() + own,
            voters.len()
        )));
    }
    if let Some(id) = lost.iter().find(|id| alive.contains(id) || **id == node.id()) {
        return Err(Error::Refused(format!("node {id} answers, so it is not lost")));
    }
    if let Some((id, _)) = answers.iter().find(|(_, log)| *log > node.raft().last_log_id()) {
        return Err(Error::Refused(format!("node {id} has more of the log than this node: recover from node {id}")));
    }
    tracing::warn!(?lost, "the operator gives up nodes; this node restarts as the only member");
    Recovery { lost }.request(node.home().path()).map_err(Error::internal)?;
    node.restart_after_answer();
    Ok(())
}

/// Term and index of the last entry of a voter, if it answers.
async fn log_of(node: &Node, id: u64) -> Option<(u64, u64)> {
    let mut client = node.member_client(id)?;
    let status = client.status(StatusRequest { stale: true }, Some(ANSWER));
    let status = tokio::time::timeout(ANSWER, status).await.ok()?.ok()?;
    Some((status.log_term, status.log_index))
}
