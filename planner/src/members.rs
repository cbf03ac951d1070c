//! The next change of who is a member, of what the cluster records about a node, and whether the leader hands over.
//!
//! Who votes is decided by [`voters`](crate::voters), who does not return by [`dead`](crate::dead).

use std::fmt;
use std::time::Duration;

use crate::Policy;
use crate::twins::Life;

/// The leader's own state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    /// Its id.
    pub id: u64,
    /// Free bytes on its disk.
    pub free: u64,
    /// Free bytes below which it must refuse writes.
    pub needed: u64,
    /// Time since it reports itself as unhealthy; zero while it is healthy.
    pub unhealthy_for: Duration,
    /// Serial of the signing key that it can give to voters; `None` if it has none that the cluster accepts.
    pub serial: Option<String>,
}

/// A node that is a member, or that reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// Its address in the membership; `None` if it is not a member.
    pub member_at: Option<String>,
    /// Whether it votes.
    pub voter: bool,
    /// Whether it has (nearly) all of the log.
    pub up_to_date: bool,
    /// What the cluster records about it.
    pub record: Option<Record>,
    /// Its last report.
    pub report: Option<Report>,
}

/// What the cluster records about a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Whether it is being removed.
    pub leaving: bool,
    /// The start that the cluster last accepted.
    pub life: Life,
}

/// A node's last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether it is recent enough to act on.
    pub fresh: bool,
    /// Where the node listens.
    pub address: String,
    /// Whether the node is healthy and stays.
    pub good: bool,
    /// Whether its disk is nearly full.
    pub disk_low: bool,
    /// Free bytes on its disk.
    pub disk_free: u64,
    /// Serial of the signing key that it holds; empty for none.
    pub serial: String,
    /// The start that reports, if the node has stored that it was accepted.
    pub life: Option<Life>,
}

/// Why a leader hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its disk fills up.
    Disk,
    /// It is not healthy.
    Unhealthy,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "this disk is nearly full",
            Self::Unhealthy => "this node is not healthy",
        })
    }
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hand leadership over to another voter.
    HandOver {
        /// The voter.
        to: u64,
        /// Why.
        reason: Reason,
    },
    /// Make the missing record of a member.
    Record(u64),
    /// Record the start of a node, so that processes of earlier starts are refused.
    Remember(u64, Life),
    /// Add an admitted node as a learner.
    Admit(u64),
    /// Record a member's new address.
    Move(u64),
}

/// The next change; `None` if none is due.
#[must_use]
pub fn next(leader: &Leader, nodes: &[Node], policy: &Policy) -> Option<Step> {
    hand_over(leader, nodes, policy)
        .or_else(|| nodes.iter().find(|node| node.lacks_record()).map(|node| Step::Record(node.id)))
        .or_else(|| nodes.iter().find_map(|node| Some(Step::Remember(node.id, node.new_life()?))))
        .or_else(|| nodes.iter().find(|node| node.joins()).map(|node| Step::Admit(node.id)))
        .or_else(|| nodes.iter().find(|node| node.has_moved()).map(|node| Step::Move(node.id)))
}

/// Voters that report another signing key than the leader's, or none.
#[must_use]
pub fn without_secrets(leader: &Leader, nodes: &[Node]) -> Vec<u64> {
    let Some(serial) = &leader.serial else { return Vec::new() };
    let lacks = |node: &&Node| {
        node.voter && node.id != leader.id && node.fresh().is_some_and(|report| report.serial != *serial)
    };
    nodes.iter().filter(lacks).map(|node| node.id).collect()
}

/// A leader with a nearly full disk hands over to the voter with the most free space, before it must refuse writes; one
/// that was unhealthy for too long to a healthy voter, which then replaces it.
fn hand_over(leader: &Leader, nodes: &[Node], policy: &Policy) -> Option<Step> {
    let candidates = || {
        let others = nodes.iter().filter(|node| node.voter && node.up_to_date && node.id != leader.id);
        others.filter_map(|node| Some((node.id, node.fresh()?)))
    };
    if leader.free < leader.needed.saturating_mul(2) {
        let roomy =
            candidates().filter(|(_, report)| !report.disk_low && report.disk_free >= leader.needed.saturating_mul(4));
        if let Some((to, _)) = roomy.max_by_key(|(_, report)| report.disk_free) {
            return Some(Step::HandOver { to, reason: Reason::Disk });
        }
    }
    if leader.unhealthy_for > policy.unhealthy_after {
        let (to, _) = candidates().find(|(_, report)| report.good)?;
        return Some(Step::HandOver { to, reason: Reason::Unhealthy });
    }
    None
}

// === impl Node ===

impl Node {
    fn fresh(&self) -> Option<&Report> {
        self.report.as_ref().filter(|report| report.fresh)
    }

    fn lacks_record(&self) -> bool {
        self.member_at.is_some() && self.record.is_none() && self.report.is_some()
    }

    /// A start that the cluster does not remember yet.
    fn new_life(&self) -> Option<Life> {
        let (known, life) = (self.record?.life, self.fresh()?.life?);
        (life.run != 0 && life != known && life.number >= known.number).then_some(life)
    }

    /// Whether it was admitted and is not a member yet. A node without a record was removed: its certificate still lets it report.
    fn joins(&self) -> bool {
        self.member_at.is_none() && self.record.is_some_and(|record| !record.leaving) && self.fresh().is_some()
    }

    fn has_moved(&self) -> bool {
        let Some(known) = &self.member_at else { return false };
        self.fresh().is_some_and(|report| report.address != *known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn leader() -> Leader {
        Leader { id: 1, free: 9 * GIB, needed: GIB, serial: Some("a".to_owned()), ..Leader::default() }
    }

    /// A voter about which nothing is to be done.
    fn voter(id: u64) -> Node {
        let address = format!("10.0.0.{id}:5080");
        let report = Report {
            fresh: true,
            address: address.clone(),
            good: true,
            disk_free: 9 * GIB,
            serial: "a".to_owned(),
            ..Report::default()
        };
        Node {
            id,
            member_at: Some(address),
            voter: true,
            up_to_date: true,
            record: Some(Record::default()),
            report: Some(report),
        }
    }

    fn with_report(id: u64, change: impl Fn(&mut Report)) -> Node {
        let mut node = voter(id);
        node.report.iter_mut().for_each(change);
        node
    }

    fn next_of(nodes: &[Node]) -> Option<Step> {
        next(&leader(), nodes, &Policy::default())
    }

    #[test]
    fn a_settled_cluster_needs_nothing() {
        assert_eq!(next_of(&[voter(1), voter(2), voter(3)]), None);
        assert_eq!(without_secrets(&leader(), &[voter(1), voter(2)]), Vec::<u64>::new());
    }

    #[test]
    fn a_leader_whose_disk_fills_up_hands_over_to_the_voter_with_the_most_space() {
        let full = Leader { free: GIB, ..leader() };
        let to = |nodes: &[Node]| next(&full, nodes, &Policy::default());
        let free = |id, bytes| with_report(id, |report| report.disk_free = bytes);
        let reason = Reason::Disk;
        assert_eq!(to(&[voter(1), free(2, 5 * GIB), free(3, 6 * GIB)]), Some(Step::HandOver { to: 3, reason }));
        assert_eq!(to(&[voter(1), free(2, 3 * GIB)]), None, "no better off");
        assert_eq!(to(&[voter(1), Node { up_to_date: false, ..voter(2) }]), None);
        assert_eq!(to(&[voter(1), with_report(2, |report| report.fresh = false)]), None);
        assert_eq!(to(&[voter(1), Node { voter: false, ..voter(2) }]), None);
    }

    #[test]
    fn an_unhealthy_leader_hands_over_to_a_healthy_voter_after_a_while() {
        let policy = Policy::default();
        let ill = |time| Leader { unhealthy_for: time, ..leader() };
        let nodes = [voter(1), with_report(2, |report| report.good = false), voter(3)];
        assert_eq!(next(&ill(policy.unhealthy_after), &nodes, &policy), None);
        let later = ill(policy.unhealthy_after + Duration::from_secs(1));
        let step = Step::HandOver { to: 3, reason: Reason::Unhealthy };
        assert_eq!(next(&later, &nodes, &policy), Some(step));
        assert_eq!(next(&later, &nodes[..2], &policy), None);
    }

    #[test]
    fn an_admitted_node_joins_and_a_removed_one_does_not() {
        let new = Node { member_at: None, voter: false, ..voter(4) };
        assert_eq!(next_of(&[voter(1), new.clone()]), Some(Step::Admit(4)));
        let leaving = Record { leaving: true, ..Record::default() };
        for removed in [None, Some(leaving)] {
            assert_eq!(next_of(&[voter(1), Node { record: removed, ..new.clone() }]), None);
        }
        assert_eq!(next_of(&[voter(1), Node { report: None, ..new }]), None);
    }

    #[test]
    fn a_member_is_recorded_first_then_its_start_then_its_address() {
        let life = |number| Life { number, run: 7 };
        let started = |report: &mut Report| {
            report.life = Some(life(2));
            report.address = "10.0.0.9:5080".to_owned();
        };
        let node = Node { record: None, ..with_report(2, started) };
        assert_eq!(next_of(std::slice::from_ref(&node)), Some(Step::Record(2)));
        let node = Node { record: Some(Record::default()), ..node };
        assert_eq!(next_of(std::slice::from_ref(&node)), Some(Step::Remember(2, life(2))));
        let node = Node { record: Some(Record { life: life(2), ..Record::default() }), ..node };
        assert_eq!(next_of(std::slice::from_ref(&node)), Some(Step::Move(2)));
    }

    #[test]
    fn an_earlier_start_is_not_remembered() {
        let known = Record { life: Life { number: 5, run: 1 }, ..Record::default() };
        let with = |life| Node { record: Some(known), ..with_report(2, |report| report.life = Some(life)) };
        assert_eq!(next_of(&[with(Life { number: 4, run: 9 })]), None);
        assert_eq!(next_of(&[with(known.life)]), None);
        let other = Life { number: 5, run: 9 };
        assert_eq!(next_of(&[with(other)]), Some(Step::Remember(2, other)));
    }

    #[test]
    fn voters_without_the_signing_key_get_it() {
        let none = |id| with_report(id, |report| report.serial = String::new());
        let nodes = [none(1), none(2), Node { voter: false, ..none(3) }, with_report(4, |report| report.fresh = false)];
        assert_eq!(without_secrets(&leader(), &nodes), [2]);
        assert_eq!(without_secrets(&Leader { serial: None, ..leader() }, &nodes), Vec::<u64>::new());
    }
}
