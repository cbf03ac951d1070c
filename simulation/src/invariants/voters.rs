//! At rest, the voters are those that the planner chooses, and all nodes know them.

use super::{NodeState, Violation, check};

const NAME: &str = "voters-as-planned";

pub(super) fn check_rest(nodes: &[NodeState]) -> Result<(), Violation> {
    let Some(leader) = nodes.iter().find(|node| node.leads) else { return Ok(()) };
    check(leader.voters.len() == 1, NAME, || format!("a change of the voters is in progress: {:?}", leader.voters))?;
    let verdict = leader.verdict.clone().unwrap_or_else(|| Err("the planner was not asked yet".to_owned()));
    check(verdict.is_ok(), NAME, || verdict.err().unwrap_or_default())?;
    for node in nodes {
        check(node.voters == leader.voters, NAME, || {
            format!("node {} takes {:?} for the voters, the leader {:?}", node.id, node.voters, leader.voters)
        })?;
    }
    Ok(())
}
