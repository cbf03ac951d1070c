//! A deposed leader's proposals change nothing: a command for one leadership is applied only under that
//! leadership.

use super::{Invariant, Violation, check};
use crate::events::Event;

pub(super) struct TermFence;

impl Invariant for TermFence {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Event::Applied(applied) = event else { return Ok(()) };
        if applied.only_in_term == 0 || applied.refused {
            return Ok(());
        }
        let leader = applied.place.leader;
        check(leader.term == applied.only_in_term, "term-fence", || {
            format!("a command for term {} was applied at {:?}", applied.only_in_term, applied.place)
        })?;
        let proposer = applied.proposer;
        check(proposer.is_none_or(|node| node == leader.node), "term-fence", || {
            format!(
                "a command that node {proposer:?} proposed as leader of term {} was applied under {leader:?}",
                leader.term
            )
        })
    }
}
