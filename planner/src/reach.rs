//! Whether other nodes can reach a leader, and who leads instead if they cannot.
//!
//! Raft accepts a leader that no node can reach: heartbeats and their answers travel on connections that the leader
//! itself has opened. Reports, forwarded writes, and clients come from outside. So there are two steps, and neither is
//! decided by one failure: a leader suspects itself when too few of the voters that answer it have reported for some
//! intervals ([`is_suspect`]); then it has every voter try new connections to all the others, and decides by the
//! results ([`verdict`]).
//!
//! Leadership goes only to a voter that a majority can reach and that can reach a majority. So it does not return, and
//! stays where it is if all are equally affected.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::Policy;

/// The leader's contact with another voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Time since it last answered the leader, on the leader's own connection.
    pub answered: Duration,
    /// Time since its last report, or since this leader began to listen.
    pub reported: Duration,
}

/// A voter that answers the leader, and the results of its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The voter.
    pub id: u64,
    /// Whether it may lead: it has (nearly) all of the log and is not about to stop.
    pub fit: bool,
    /// The voters to which it could open a new connection; absent if unknown.
    pub reaches: Option<BTreeSet<u64>>,
}

/// The decision of a leader that suspects itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Continue to lead: enough voters can reach it, or it is unknown whether they can.
    Lead,
    /// Other nodes cannot reach it, but no other leader would be better.
    NobodyBetter,
    /// Other nodes cannot reach it, but can reach this voter.
    HandOver(u64),
}

/// Whether so few voters report that a leader must check whether they can reach it, while a majority answers it.
/// Without a majority it does not lead for long anyway.
#[must_use]
pub fn is_suspect(others: &[Heard], policy: &Policy) -> bool {
    let voters = others.len() + 1;
    let answering = 1 + others.iter().filter(|other| other.answered <= policy.suspect_after).count();
    let reporting = 1 + others.iter().filter(|other| other.reported <= policy.unheard_after).count();
    answering * 2 > voters && reporting * 2 <= voters
}

/// The decision, by the views of all voters that answer, including the leader's own, out of `voters`.
#[must_use]
pub fn verdict(leader: u64, voters: usize, views: &[View]) -> Verdict {
    let is_majority = |count: usize| count * 2 > voters;
    // Each reaches itself.
    let callers = |id: u64| {
        1 + views
            .iter()
            .filter(|view| view.id != id && view.reaches.as_ref().is_some_and(|to| to.contains(&id)))
            .count()
    };
    let silent = views.iter().filter(|view| view.id != leader && view.reaches.is_none()).count();
    // A voter with an unknown result does not count against the leader.
    if is_majority(callers(leader) + silent) {
        return Verdict::Lead;
    }
    let candidates = views.iter().filter(|view| view.id != leader && view.fit).filter_map(|view| {
        let reached = 1 + view.reaches.as_ref()?.iter().filter(|id| **id != view.id).count();
        let callers = callers(view.id);
        (is_majority(callers) && is_majority(reached)).then_some((callers, reached, Reverse(view.id)))
    });
    match candidates.max() {
        Some((_, _, Reverse(id))) => Verdict::HandOver(id),
        None => Verdict::NobodyBetter,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(1000);

    fn heard(answered: Duration, reported: Duration) -> Heard {
        Heard { answered, reported }
    }

    fn view(id: u64, reaches: &[u64]) -> View {
        View { id, fit: true, reaches: Some(reaches.iter().copied().collect()) }
    }

    #[test]
    fn a_leader_whose_voters_answer_but_do_not_report_suspects_itself() {
        let policy = Policy::default();
        assert!(is_suspect(&[heard(NOW, LONG), heard(NOW, LONG)], &policy));
        // One of them may have problems of its own.
        assert!(!is_suspect(&[heard(NOW, NOW), heard(NOW, LONG)], &policy));
        assert!(is_suspect(&[heard(NOW, LONG), heard(LONG, LONG)], &policy));
        // One missed report does not make a suspect.
        assert!(!is_suspect(&[heard(NOW, policy.unheard_after), heard(NOW, policy.unheard_after)], &policy));
        // Without a quorum an election decides.
        assert!(!is_suspect(&[heard(LONG, LONG), heard(LONG, LONG)], &policy));
        assert!(!is_suspect(&[], &policy));
    }

    #[test]
    fn an_unreachable_leader_hands_over_to_a_reachable_one() {
        assert_eq!(verdict(1, 3, &[view(1, &[2, 3]), view(2, &[3]), view(3, &[2])]), Verdict::HandOver(2));
        assert_eq!(verdict(1, 3, &[view(1, &[3]), view(2, &[3]), view(3, &[2])]), Verdict::HandOver(3));
    }

    #[test]
    fn it_keeps_leading_unless_a_majority_is_known_not_to_reach_it() {
        assert_eq!(verdict(1, 3, &[view(1, &[2, 3]), view(2, &[1, 3]), view(3, &[2])]), Verdict::Lead);
        let silent = View { reaches: None, ..view(2, &[]) };
        assert_eq!(verdict(1, 3, &[view(1, &[2, 3]), silent, view(3, &[2])]), Verdict::Lead);
    }

    #[test]
    fn it_does_not_hand_over_to_an_unreachable_voter() {
        assert_eq!(verdict(1, 3, &[view(1, &[]), view(2, &[]), view(3, &[])]), Verdict::NobodyBetter);
        // All can reach 2, but 2 reaches none; 3 reaches 2 but none reaches 3.
        assert_eq!(verdict(1, 3, &[view(1, &[2]), view(2, &[]), view(3, &[2])]), Verdict::NobodyBetter);
    }

    #[test]
    fn it_does_not_hand_over_to_an_unfit_voter() {
        let unfit = View { fit: false, ..view(2, &[3]) };
        assert_eq!(verdict(1, 3, &[view(1, &[2, 3]), unfit, view(3, &[2])]), Verdict::HandOver(3));
        // The other voter is dead: the remaining one would have no majority that it can reach.
        assert_eq!(verdict(1, 3, &[view(1, &[2]), view(2, &[])]), Verdict::NobodyBetter);
    }

    proptest! {
        /// The new leader keeps leadership as long as the connections do not change.
        #[test]
        fn leadership_is_handed_over_once(
            voters in prop::sample::select(vec![3_u64, 5, 7]),
            ways in prop::collection::vec(prop::collection::vec(any::<bool>(), 7), 7),
            fit in prop::collection::vec(any::<bool>(), 7),
        ) {
            let index = |id: u64| usize::try_from(id - 1).unwrap();
            let views: Vec<View> = (1..=voters).map(|id| View {
                id,
                fit: fit[index(id)],
                reaches: Some((1..=voters).filter(|to| *to != id && ways[index(id)][index(*to)]).collect()),
            }).collect();
            let count = views.len();
            if let Verdict::HandOver(next) = verdict(1, count, &views) {
                prop_assert!(next != 1 && views[index(next)].fit);
                prop_assert_eq!(verdict(next, count, &views), Verdict::Lead);
            }
        }
    }
}
