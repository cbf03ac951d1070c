//! Decides which members vote.
//!
//! Rules, in this order:
//! 1. Nothing changes while no quorum of the current voters is alive: a change could not be committed, and the dead may
//!    return.
//! 2. A dead or stopping voter gives its vote to a learner that is alive and up to date, if one exists.
//! 3. The number of voters is odd and fits the number of members: 1 for 1 or 2 (two voters are worse than one: either's
//!    death stops the cluster), 3 for 3 or 4, 5 for 5 or 6, up to the policy's limit. Votes are given and taken two at
//!    a time where that avoids an even number.
//!
//! Every change is one membership entry; the next call sees its result.

use crate::{Member, Policy, quorum};

/// One change of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These learners become voters.
    Promote(Vec<u64>),
    /// These voters become learners.
    Demote(Vec<u64>),
    /// One voter's vote goes to a learner.
    Replace {
        /// Loses the vote.
        old: u64,
        /// Gets it.
        new: u64,
    },
}

/// The number of voters for a number of members.
#[must_use]
pub fn wanted(members: usize, policy: &Policy) -> usize {
    let number = members.min(policy.max_voters);
    let odd = if number % 2 == 1 { number } else { number.saturating_sub(1) };
    odd.max(1)
}

/// The next change, or `None` if none is needed or possible now.
#[must_use]
pub fn next_change(members: &[Member], policy: &Policy) -> Option<Change> {
    let voters: Vec<&Member> = members.iter().filter(|member| member.voter).collect();
    if !quorum::holds(voters.iter().copied(), policy) {
        return None;
    }
    let mut candidates: Vec<&Member> = members
        .iter()
        .filter(|member| {
            !member.voter && member.up_to_date && !member.draining && !member.retiring && member.is_alive(policy)
        })
        .collect();
    candidates.sort_by_key(|member| member.id);

    // A voter whose machine will be taken away votes until another member can take its vote.
    let leaving = voters.iter().filter(|voter| !voter.leader && (voter.is_lost(policy) || voter.draining));
    if let (Some(old), Some(new)) = (leaving.min_by_key(|voter| voter.id), candidates.first()) {
        return Some(Change::Replace { old: old.id, new: new.id });
    }

    let wanted = wanted(members.iter().filter(|member| !member.draining).count(), policy);
    // From an odd number it takes two to reach the next odd one.
    let step = if voters.len() % 2 == 1 { 2 } else { 1 };
    if voters.len() < wanted && candidates.len() >= step {
        return Some(Change::Promote(candidates.iter().take(step).map(|member| member.id).collect()));
    }
    if voters.len() > wanted {
        return demotion(voters, step, policy);
    }
    None
}

/// Takes votes from the most expendable voters.
fn demotion(mut voters: Vec<&Member>, step: usize, policy: &Policy) -> Option<Change> {
    voters.retain(|voter| !voter.leader);
    voters.sort_by_key(|voter| (!voter.is_lost(policy), voter.is_alive(policy), !voter.draining, u64::MAX - voter.id));
    let losing: Vec<u64> = voters.iter().take(step).map(|voter| voter.id).collect();
    (losing.len() == step).then_some(Change::Demote(losing))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    pub(crate) const DEAD: Duration = Duration::from_secs(1000);

    /// Members 1 to `count`, the first `voters` of them voting, 1 leading.
    pub(crate) fn members(count: u64, voters: u64) -> Vec<Member> {
        let member = |id| Member {
            id,
            voter: id <= voters,
            leader: id == 1,
            silent_for: Duration::ZERO,
            up_to_date: true,
            draining: false,
            retiring: false,
            unhealthy_for: Duration::ZERO,
            spared: false,
        };
        (1..=count).map(member).collect()
    }

    fn apply(members: &mut [Member], change: &Change) {
        for member in members {
            match change {
                Change::Promote(ids) if ids.contains(&member.id) => member.voter = true,
                Change::Demote(ids) if ids.contains(&member.id) => member.voter = false,
                Change::Replace { old, .. } if *old == member.id => member.voter = false,
                Change::Replace { new, .. } if *new == member.id => member.voter = true,
                _ => {}
            }
        }
    }

    #[test]
    fn votes_are_given_in_pairs() {
        let policy = Policy::default();
        assert_eq!(next_change(&members(1, 1), &policy), None);
        assert_eq!(next_change(&members(2, 1), &policy), None);
        assert_eq!(next_change(&members(3, 1), &policy), Some(Change::Promote(vec![2, 3])));
        assert_eq!(next_change(&members(4, 3), &policy), None);
        assert_eq!(next_change(&members(5, 3), &policy), Some(Change::Promote(vec![4, 5])));
        assert_eq!(next_change(&members(50, 5), &policy), None);
    }

    #[test]
    fn a_learner_that_lags_is_not_promoted() {
        let policy = Policy::default();
        let mut three = members(3, 1);
        three[2].up_to_date = false;
        assert_eq!(next_change(&three, &policy), None);
    }

    #[test]
    fn a_dead_voter_is_replaced_by_a_learner() {
        let policy = Policy::default();
        let mut four = members(4, 3);
        four[1].silent_for = policy.suspect_after * 2;
        assert_eq!(next_change(&four, &policy), None, "silent is not dead");
        four[1].silent_for = DEAD;
        assert_eq!(next_change(&four, &policy), Some(Change::Replace { old: 2, new: 4 }));
        // If no member can take the vote it stays: its holder may return.
        let mut three = members(3, 3);
        three[1].silent_for = DEAD;
        assert_eq!(next_change(&three, &policy), None);
    }

    #[test]
    fn nothing_changes_without_a_quorum() {
        let policy = Policy::default();
        let mut five = members(5, 3);
        five[1].silent_for = DEAD;
        five[2].silent_for = DEAD;
        assert_eq!(next_change(&five, &policy), None);
    }

    #[test]
    fn too_many_voters_are_demoted_the_dead_first() {
        let policy = Policy::default();
        assert_eq!(next_change(&members(2, 2), &policy), Some(Change::Demote(vec![2])));
        assert_eq!(next_change(&members(4, 4), &policy), Some(Change::Demote(vec![4])));
        let mut four = members(4, 4);
        four[1].silent_for = DEAD;
        assert_eq!(next_change(&four, &policy), Some(Change::Demote(vec![2])));
    }

    proptest! {
        /// From any view the changes end, never leave the living voters without a majority, and end on an odd number if
        /// all members are alive.
        #[test]
        fn changes_converge_and_keep_the_quorum(
            rows in prop::collection::vec((any::<bool>(), 0u8..3, any::<bool>(), any::<bool>()), 0..12),
        ) {
            let policy = Policy::default();
            let mut all = members(1, 1);
            for (index, (voter, silence, up_to_date, draining)) in rows.into_iter().enumerate() {
                let silent_for = [Duration::ZERO, policy.suspect_after * 2, DEAD][usize::from(silence)];
                all.push(Member {
                    id: index as u64 + 2,
                    voter,
                    leader: false,
                    silent_for,
                    up_to_date,
                    draining,
                    retiring: false,
            unhealthy_for: Duration::ZERO,
            spared: false,
                });
            }
            let healthy = all.iter().all(|member| member.is_alive(&policy) && member.up_to_date && !member.draining);
            let quorum = quorum::holds(all.iter().filter(|member| member.voter), &policy);
            let mut steps = 0;
            while let Some(change) = next_change(&all, &policy) {
                prop_assert!(quorum, "changed without a quorum: {change:?}");
                apply(&mut all, &change);
                prop_assert!(quorum::holds(all.iter().filter(|member| member.voter), &policy), "lost it by {change:?}");
                steps += 1;
                prop_assert!(steps < 50, "does not end");
            }
            if healthy {
                let voters = all.iter().filter(|member| member.voter).count();
                prop_assert_eq!(voters, wanted(all.len(), &policy));
            }
        }
    }
}
