//! State machine safety: all nodes apply the same commands in the same order, and get the same answers.

use std::collections::BTreeMap;

use super::{Invariant, Violation, check};
use crate::events::{Event, Print};
use crate::types::Place;

/// What was applied at an index, and by which node first.
type Done = (Place, Option<(Print, Print)>, u64);

#[derive(Default)]
pub(super) struct SameOrder {
    applied: BTreeMap<u64, Done>,
    /// The applied index of each node in its present life.
    position: BTreeMap<u64, u64>,
}

impl SameOrder {
    fn at(&mut self, node: u64, place: Place, what: Option<(Print, Print)>) -> Result<(), Violation> {
        if let Some(last) = self.position.insert(node, place.index) {
            check(place.index == last + 1, "same-order", || {
                format!("node {node} went from index {last} to {place:?}")
            })?;
        }
        let known = *self.applied.entry(place.index).or_insert((place, what, node));
        check(known.0 == place, "same-order", || {
            format!("node {node} applied {place:?} where node {} applied {:?}", known.2, known.0)
        })?;
        check(known.1 == what, "same-order", || {
            format!("at {place:?} node {node} has {what:?} and node {} has {:?} (command, answer)", known.2, known.1)
        })
    }
}

impl Invariant for SameOrder {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Passed { node, place } => self.at(*node, *place, None),
            Event::Applied(applied) => self.at(applied.node, applied.place, Some((applied.print, applied.answer))),
            Event::Installed { node, place, .. } => {
                if let Some(last) = self.position.insert(*node, place.index) {
                    check(place.index >= last, "same-order", || {
                        format!("node {node} had applied {last} and took over a state of {place:?}")
                    })?;
                }
                Ok(())
            }
            // After a start it begins again, from its snapshot.
            Event::Started { node, .. } => {
                self.position.remove(node);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
