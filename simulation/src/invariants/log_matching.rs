//! Log matching: two logs that hold an entry of the same index and leader hold the same entries up to there.
//!
//! Checked entry by entry, as they are appended: an entry of an index and a leader has the same content everywhere, and the
//! same entry before it. By induction the logs are the same up to it.

use std::collections::BTreeMap;

use super::{Invariant, Violation, check};
use crate::events::{Event, Print};
use crate::types::{Leader, Place};

#[derive(Default)]
pub(super) struct LogMatching {
    entries: BTreeMap<(u64, Leader), (Print, Option<Place>, u64)>,
}

impl Invariant for LogMatching {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Event::Appended { node, place, before, print } = event else { return Ok(()) };
        check(before.is_none_or(|before| before.leader <= place.leader), "log-matching", || {
            format!("on node {node} {place:?} follows the newer {before:?}")
        })?;
        let known = *self.entries.entry((place.index, place.leader)).or_insert((*print, *before, *node));
        check(known.0 == *print, "log-matching", || {
            format!("{place:?} is {print:?} on node {node} and {:?} on node {}", known.0, known.2)
        })?;
        check(known.1 == *before, "log-matching", || {
            format!("before {place:?} there is {before:?} on node {node} and {:?} on node {}", known.1, known.2)
        })
    }
}
