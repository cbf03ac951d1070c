//! After the faults the cluster heals by itself: one leader, known to all nodes, and the same state on all nodes.

use super::{NodeState, Violation, check};

const NAME: &str = "convergence";

pub(super) fn check_rest(nodes: &[NodeState]) -> Result<(), Violation> {
    let leaders: Vec<&NodeState> = nodes.iter().filter(|node| node.leads).collect();
    let [leader] = leaders.as_slice() else {
        let ids: Vec<u64> = leaders.iter().map(|node| node.id).collect();
        return check(false, NAME, || format!("these lead: {ids:?}"));
    };
    for node in nodes {
        check(node.leader == Some(leader.id), NAME, || {
            format!("node {} takes {:?} for the leader, and node {} leads", node.id, node.leader, leader.id)
        })?;
        check(leader.members.contains(&node.id), NAME, || {
            format!("node {} is not a member: {:?}", node.id, leader.members)
        })?;
        check(node.applied == leader.last && node.last == leader.last, NAME, || {
            let (last, applied) = (node.last, node.applied);
            format!("node {} has {last:?} and applied {applied:?} of the leader's {:?}", node.id, leader.last)
        })?;
        check(node.store == leader.store, NAME, || {
            format!("the store of node {} is {:?}, that of the leader {:?}", node.id, node.store, leader.store)
        })?;
    }
    Ok(())
}
