//! Members that do not return.
//!
//! A dead member keeps its place: it may return with all of its data. After days it will not, and its record, its vote
//! and the replication to it are only a burden. It is removed once it was silent for as long as the policy says, one at
//! a time, and never so that the living voters would be no majority of the remaining ones. [`repair`](crate::repair)
//! decides earlier whether to start a substitute.

use crate::{Member, Policy, quorum};

/// The member to remove now, the longest silent first.
#[must_use]
pub fn to_remove(members: &[Member], policy: &Policy) -> Option<u64> {
    // Without a quorum it is unknown who is gone: this node, or the others.
    if !quorum::holds(members.iter().filter(|member| member.voter), policy) {
        return None;
    }
    let gone = members.iter().filter(|member| !member.leader && member.silent_for > policy.remove_after);
    let removable = gone.filter(|member| quorum::survives_without(members, member.id, policy));
    removable.max_by_key(|member| (member.silent_for, member.id)).map(|member| member.id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::voters::tests::members;

    #[test]
    fn members_silent_for_days_are_removed_longest_first() {
        let policy = Policy::default();
        let mut five = members(5, 5);
        five[1].silent_for = policy.dead_after * 2;
        assert_eq!(to_remove(&five, &policy), None, "dead, but not for long");
        five[1].silent_for = policy.remove_after * 2;
        five[3].silent_for = policy.remove_after * 3;
        assert_eq!(to_remove(&five, &policy), Some(4));
    }

    #[test]
    fn no_member_is_removed_without_a_quorum() {
        let policy = Policy::default();
        let mut three = members(3, 3);
        three[1].silent_for = policy.remove_after * 2;
        three[2].silent_for = policy.remove_after * 2;
        assert_eq!(to_remove(&three, &policy), None);
        // A learner may be removed at any time while the leader has a quorum.
        let mut four = members(4, 3);
        four[3].silent_for = policy.remove_after * 2;
        assert_eq!(to_remove(&four, &policy), Some(4));
    }

    proptest! {
        /// Until no more members are removed: the leader and the living stay, and they are a majority at every step.
        #[test]
        fn removing_keeps_the_quorum(rows in prop::collection::vec((any::<bool>(), 0u32..3), 0..12)) {
            let policy = Policy::default();
            let mut all = members(1, 1);
            for (index, (voter, silence)) in rows.into_iter().enumerate() {
                let silent_for = [Duration::ZERO, policy.dead_after * 2, policy.remove_after * 2][silence as usize];
                all.push(Member { id: index as u64 + 2, voter, silent_for, leader: false, ..all[0].clone() });
            }
            while let Some(id) = to_remove(&all, &policy) {
                prop_assert!(all.iter().any(|member| member.id == id && !member.leader && member.is_dead(&policy)));
                all.retain(|member| member.id != id);
                prop_assert!(quorum::holds(all.iter().filter(|member| member.voter), &policy));
            }
        }
    }
}
