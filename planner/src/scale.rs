//! Growing and shrinking.

use thiserror::Error;

use crate::{Member, Policy, quorum};

/// Why a number of nodes is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No nodes at all.
    #[error("a cluster has at least one node; `disco destroy` ends it")]
    Zero,
    /// More than the limit.
    #[error("invalid number of nodes {requested}: a cluster has at most {limit}")]
    TooMany {
        /// Requested number.
        requested: usize,
        /// Maximum number.
        limit: usize,
    },
    /// The living voters would be no majority.
    #[error("cannot remove node {node}: the living voters would be no quorum; bring the dead nodes back first")]
    Quorum {
        /// The node whose removal would break it.
        node: u64,
    },
}

/// Whether the cluster may have this many nodes, and which ones leave for it, in order.
///
/// Expendable members leave first: dead ones and those whose machines will be taken away, then silent and stopping
/// ones, then learners, then the youngest; the leader last.
///
/// # Errors
/// See [`Refusal`].
pub fn check(members: &[Member], requested: usize, policy: &Policy) -> Result<Vec<u64>, Refusal> {
    if requested == 0 {
        return Err(Refusal::Zero);
    }
    if requested > policy.max_members {
        return Err(Refusal::TooMany { requested, limit: policy.max_members });
    }
    let mut remaining = members.to_vec();
    let mut going = Vec::new();
    while remaining.len() > requested {
        let Some(next) = next_to_go(&remaining, policy) else { break };
        if !quorum::survives_without(&remaining, next, policy) {
            return Err(Refusal::Quorum { node: next });
        }
        remaining.retain(|member| member.id != next);
        going.push(next);
    }
    Ok(going)
}

/// The most expendable member.
fn next_to_go(members: &[Member], policy: &Policy) -> Option<u64> {
    let rank = |member: &&Member| {
        (
            member.leader,
            !member.is_lost(policy),
            member.is_alive(policy),
            !member.draining,
            member.voter,
            u64::MAX - member.id,
        )
    };
    members.iter().min_by_key(rank).map(|member| member.id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::voters::tests::{DEAD, members};

    #[test]
    fn learners_and_the_youngest_go_first_the_leader_last() {
        let policy = Policy::default();
        assert_eq!(check(&members(5, 3), 3, &policy), Ok(vec![5, 4]));
        assert_eq!(check(&members(3, 3), 1, &policy), Ok(vec![3, 2]));
        let mut moved = members(3, 3);
        moved[0].leader = false;
        moved[2].leader = true;
        assert_eq!(check(&moved, 1, &policy), Ok(vec![2, 1]));
        assert_eq!(check(&members(3, 3), 5, &policy), Ok(vec![]));
    }

    #[test]
    fn dead_nodes_go_first_and_living_quorums_stay() {
        let policy = Policy::default();
        let mut three = members(3, 3);
        three[1].silent_for = DEAD;
        assert_eq!(check(&three, 2, &policy), Ok(vec![2]));
        let mut five = members(5, 5);
        five[1].silent_for = DEAD;
        five[2].silent_for = DEAD;
        five[3].silent_for = DEAD;
        assert_eq!(check(&five, 4, &policy), Err(Refusal::Quorum { node: 4 }));
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let policy = Policy::default();
        assert_eq!(check(&members(3, 3), 0, &policy), Err(Refusal::Zero));
        assert!(matches!(check(&members(3, 3), 51, &policy), Err(Refusal::TooMany { .. })));
    }

    proptest! {
        /// An allowed change removes exactly the difference, never the leader, and never breaks the living majority.
        #[test]
        fn shrinking_keeps_the_quorum(
            rows in prop::collection::vec((any::<bool>(), 0u8..3, any::<bool>()), 0..12),
            requested in 0usize..14,
        ) {
            let policy = Policy::default();
            let mut all = members(1, 1);
            for (index, (voter, silence, draining)) in rows.into_iter().enumerate() {
                let silent_for = [Duration::ZERO, policy.suspect_after * 2, DEAD][usize::from(silence)];
                all.push(Member { id: index as u64 + 2, voter, silent_for, draining, leader: false, ..all[0].clone() });
            }
            if let Ok(going) = check(&all, requested, &policy) {
                prop_assert_eq!(going.len(), all.len().saturating_sub(requested));
                prop_assert!(!going.contains(&1), "the leader goes");
                for id in going {
                    all.retain(|member| member.id != id);
                    prop_assert!(quorum::holds(all.iter().filter(|member| member.voter), &policy));
                }
            }
        }
    }
}
