//! The invariants, one per file.
//!
//! An invariant receives all events in order and reports a violation at once; some can only be checked at the
//! end. Names and meanings follow Ongaro's dissertation (Consensus: Bridging Theory and Practice, 2014, section 3.6) where it
//! defines them.

mod acknowledged;
mod applied_once;
mod convergence;
mod leader_completeness;
mod linearizable;
mod log_matching;
mod one_leader;
mod revisions;
mod same_order;
mod term_fence;
mod voters;

use std::collections::BTreeSet;

use crate::events::{Event, Print};

/// A violation of an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

/// Watches a run.
pub trait Invariant: Send {
    /// Sees the next event.
    fn observe(&mut self, event: &Event) -> Result<(), Violation>;

    /// Checks the end of the run, when the cluster has come to rest.
    fn finish(&mut self) -> Result<(), Violation> {
        Ok(())
    }
}

/// All invariants.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(one_leader::OneLeader::default()),
        Box::new(log_matching::LogMatching::default()),
        Box::new(same_order::SameOrder::default()),
        Box::new(leader_completeness::LeaderCompleteness::default()),
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(revisions::Revisions::default()),
        Box::new(applied_once::AppliedOnce::default()),
        Box::new(term_fence::TermFence),
        Box::new(linearizable::Linearizable::default()),
    ]
}

/// The state of a node after the faults.
pub struct NodeState {
    /// Its id.
    pub id: u64,
    /// Whether it leads, and which node it considers the leader.
    pub leads: bool,
    /// See above.
    pub leader: Option<u64>,
    /// Index of the last entry of its log, and of the last that it has applied.
    pub last: Option<u64>,
    /// See above.
    pub applied: Option<u64>,
    /// Sets of voters, more than one in the middle of a change.
    pub voters: Vec<BTreeSet<u64>>,
    /// All members that it knows.
    pub members: BTreeSet<u64>,
    /// A hash of its store's snapshot.
    pub store: Print,
    /// The planner's result there, if it ran.
    pub verdict: Option<Result<(), String>>,
}

/// Conditions that must hold some time after the faults.
pub fn check_rest(nodes: &[NodeState]) -> Result<(), Violation> {
    convergence::check_rest(nodes)?;
    voters::check_rest(nodes)
}

/// `Err` with the violation unless the condition holds.
fn check(holds: bool, invariant: &'static str, seen: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, seen: seen() }) }
}
