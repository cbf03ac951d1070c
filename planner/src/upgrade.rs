//! A new binary on all nodes, one node after the other, and the rollback.
//!
//! One node at a time is stopped, and only while all others are well, so that a quorum exists at every moment.
//! Followers go first, learners before voters; the leader hands over and comes last. A node with an unfinished upgrade
//! is marked: it goes before all others, as it may already be down, and it is one of those that are rolled back when
//! something fails.

use thiserror::Error;

/// A node, as reported by the leader and its own machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Id.
    pub id: u64,
    /// Whether it counts for the quorum.
    pub voter: bool,
    /// Whether it leads.
    pub leader: bool,
    /// Whether the leader receives its reports, it is healthy, and it has nearly all of the log.
    pub healthy: bool,
    /// Whether the new binary is installed there and runs.
    pub new: bool,
    /// Whether an unfinished upgrade has begun on it: the previous binary lies beside the current one.
    pub unfinished: bool,
}

/// The direction of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the new binary.
    Forward,
    /// To the previous binary, on the nodes of an unfinished upgrade.
    Back,
}

/// The next step. After it the nodes are checked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Stop this node, install the other binary, start it, and wait until it is well.
    Replace(u64),
    /// Wait until this node is well: an earlier run has started it with the new binary.
    Await(u64),
    /// Transfer leadership from one node to another.
    HandOver {
        /// The leader.
        from: u64,
        /// A voter that is well.
        to: u64,
    },
    /// Only the marks are left to be removed.
    Finish,
}

/// Why no node is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Other nodes are down or lag.
    #[error("not all nodes are healthy; stopping one more could cost the quorum")]
    Sick {
        /// Ids of these nodes.
        nodes: Vec<u64>,
    },
    /// One of two voters is no majority.
    #[error("the cluster has two voters; one of them is no quorum, so neither can be stopped")]
    TwoVoters,
}

/// The next step.
///
/// # Errors
/// See [`Refusal`].
pub fn next(nodes: &[Node], direction: Direction) -> Result<Step, Refusal> {
    let pending = |node: &&Node| match direction {
        Direction::Forward => !node.new,
        Direction::Back => node.unfinished,
    };
    // Nodes that this upgrade has stopped. In order of id, so that each call returns the same.
    let begun = nodes.iter().filter(|node| node.unfinished && !node.healthy).min_by_key(|node| node.id);
    let next = begun.or_else(|| nodes.iter().filter(pending).min_by_key(|node| (node.leader, node.voter, node.id)));
    let Some(next) = next else { return Ok(Step::Finish) };
    let sick: Vec<u64> = nodes.iter().filter(|node| !node.healthy && !node.unfinished).map(|node| node.id).collect();
    if !sick.is_empty() {
        return Err(Refusal::Sick { nodes: sick });
    }
    if !pending(&next) {
        return Ok(Step::Await(next.id));
    }
    if next.leader
        && let Some(to) = successor(nodes, direction)
    {
        return Ok(Step::HandOver { from: next.id, to });
    }
    if next.voter && next.healthy && nodes.iter().filter(|node| node.voter).count() == 2 {
        return Err(Refusal::TwoVoters);
    }
    Ok(Step::Replace(next.id))
}

/// The leader while the current one is down: a voter that is well, preferably one that is done.
fn successor(nodes: &[Node], direction: Direction) -> Option<u64> {
    let done = |node: &Node| match direction {
        Direction::Forward => node.new,
        Direction::Back => !node.unfinished,
    };
    let others = nodes.iter().filter(|node| node.voter && node.healthy && !node.leader);
    others.min_by_key(|node| (!done(node), node.id)).map(|node| node.id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The first `voters` of `count` vote, and the first leads.
    fn cluster(count: u64, voters: u64) -> Vec<Node> {
        let node = |id| Node { id, voter: id <= voters, leader: id == 1, healthy: true, new: false, unfinished: false };
        (1..=count).map(node).collect()
    }

    /// Executes the step successfully.
    fn apply(nodes: &mut [Node], step: Step, direction: Direction) {
        for node in nodes {
            match step {
                Step::Replace(id) if id == node.id => {
                    node.healthy = true;
                    node.new = direction == Direction::Forward;
                    node.unfinished = direction == Direction::Forward;
                }
                Step::Await(id) if id == node.id => node.healthy = true,
                Step::HandOver { to, .. } => node.leader = node.id == to,
                Step::Finish => node.unfinished = false,
                _ => {}
            }
        }
    }

    fn all_steps(mut nodes: Vec<Node>, direction: Direction) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let step = next(&nodes, direction).unwrap();
            steps.push(step);
            if step == Step::Finish {
                return steps;
            }
            assert!(steps.len() < 100, "does not end: {steps:?}");
            apply(&mut nodes, step, direction);
        }
    }

    #[test]
    fn learners_go_first_and_the_leader_hands_over_and_goes_last() {
        use Step::{Finish, HandOver, Replace};
        let steps = all_steps(cluster(4, 3), Direction::Forward);
        assert_eq!(steps, [Replace(4), Replace(2), Replace(3), HandOver { from: 1, to: 2 }, Replace(1), Finish]);
        assert_eq!(all_steps(cluster(1, 1), Direction::Forward), [Replace(1), Finish]);
        // Without another voter no node can take over leadership.
        assert_eq!(all_steps(cluster(2, 1), Direction::Forward), [Replace(2), Replace(1), Finish]);
    }

    #[test]
    fn done_nodes_are_left_alone_and_unfinished_ones_come_first() {
        let mut three = cluster(3, 3);
        for node in &mut three {
            node.new = true;
        }
        assert_eq!(next(&three, Direction::Forward), Ok(Step::Finish));
        // A node that is unhealthy for another reason does not concern the rollback.
        three[1].healthy = false;
        assert_eq!(next(&three, Direction::Forward), Ok(Step::Finish));
        three[1].unfinished = true;
        assert_eq!(next(&three, Direction::Forward), Ok(Step::Await(2)));
        three[1].new = false;
        three[2].new = false;
        assert_eq!(next(&three, Direction::Forward), Ok(Step::Replace(2)));
    }

    #[test]
    fn no_node_is_stopped_while_another_is_not_well() {
        let mut three = cluster(3, 3);
        three[2].healthy = false;
        assert_eq!(next(&three, Direction::Forward), Err(Refusal::Sick { nodes: vec![3] }));
        // Nor if an upgrade of that node has begun: the other node is not ours.
        three[1] = Node { healthy: false, unfinished: true, ..three[1] };
        assert_eq!(next(&three, Direction::Forward), Err(Refusal::Sick { nodes: vec![3] }));
        assert_eq!(next(&cluster(2, 2), Direction::Forward), Err(Refusal::TwoVoters));
    }

    #[test]
    fn the_failed_node_is_rolled_back_first_and_then_the_other_unfinished_ones() {
        use Step::{Finish, HandOver, Replace};
        let mut five = cluster(5, 5);
        for index in [1, 2, 3] {
            five[index] = Node { new: true, unfinished: true, ..five[index] };
        }
        five[3].healthy = false;
        assert_eq!(all_steps(five.clone(), Direction::Back), [Replace(4), Replace(2), Replace(3), Finish]);
        // The leader too, after it has handed over to a node that was rolled back.
        five[1].leader = true;
        five[0].leader = false;
        let steps = [Replace(4), Replace(3), HandOver { from: 2, to: 1 }, Replace(2), Finish];
        assert_eq!(all_steps(five.clone(), Direction::Back), steps);
        // A node that was rolled back and is still not well ends it.
        five[3].unfinished = false;
        assert_eq!(next(&five, Direction::Back), Err(Refusal::Sick { nodes: vec![4] }));
    }

    proptest! {
        /// In any starting state: no healthy voter is stopped while another voter is not well, no leader is stopped
        /// while another voter could lead, and it ends with the desired binary on all nodes.
        #[test]
        fn every_upgrade_ends_and_keeps_the_quorum(
            rows in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 0..8),
            back in any::<bool>(),
        ) {
            let direction = if back { Direction::Back } else { Direction::Forward };
            let mut nodes = cluster(1, 1);
            for (index, (voter, healthy, new, unfinished)) in rows.into_iter().enumerate() {
                let id = index as u64 + 2;
                // Only nodes with an unfinished upgrade may be down.
                nodes.push(Node { id, voter, leader: false, healthy: healthy || !unfinished, new, unfinished });
            }
            let begun: Vec<u64> = nodes.iter().filter(|node| node.unfinished).map(|node| node.id).collect();
            for count in 0.. {
                prop_assert!(count < 50, "does not end: {nodes:?}");
                let step = match next(&nodes, direction) {
                    Ok(step) => step,
                    Err(Refusal::TwoVoters) => {
                        prop_assert_eq!(nodes.iter().filter(|node| node.voter).count(), 2);
                        return Ok(());
                    }
                    Err(refusal) => return Err(TestCaseError::fail(format!("{refusal:?}"))),
                };
                if let Step::Replace(id) = step {
                    let node = nodes.iter().find(|node| node.id == id).unwrap();
                    let others = || nodes.iter().filter(|other| other.voter && other.id != id);
                    prop_assert!(!node.healthy || others().all(|other| other.healthy), "{id} of {nodes:?}");
                    prop_assert!(!node.leader || others().count() == 0, "the leader {id} of {nodes:?}");
                }
                apply(&mut nodes, step, direction);
                if step == Step::Finish {
                    break;
                }
            }
            for node in &nodes {
                prop_assert!(!node.unfinished);
                match direction {
                    Direction::Forward => prop_assert!(node.new && node.healthy),
                    Direction::Back => prop_assert!(!node.new || !begun.contains(&node.id)),
                }
            }
        }
    }
}
