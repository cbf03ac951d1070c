//! Acknowledged means present: every acknowledged write was applied, with that revision, and is on all nodes in the
//! end.
//!
//! That the nodes' states are equal in the end is checked when the cluster comes to rest (see [`crate::rest`]); here, that
//! every acknowledged write is among the applied ones, and that no node that has applied its index lacks it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Invariant, Violation, check};
use crate::events::Event;

#[derive(Default)]
pub(super) struct Acknowledged {
    /// Revision and index of the first time that a request was applied.
    applied: BTreeMap<Bytes, (i64, u64)>,
    acknowledged: BTreeMap<Bytes, i64>,
}

impl Invariant for Acknowledged {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Applied(applied) if !applied.request_id.is_empty() => {
                self.applied.entry(applied.request_id.clone()).or_insert((applied.revision, applied.place.index));
                Ok(())
            }
            Event::Answered { process, request_id, revision, .. } if !request_id.is_empty() => {
                self.acknowledged.insert(request_id.clone(), *revision);
                let applied = self.applied.get(request_id);
                check(applied.is_some_and(|(at, _)| at == revision), "acknowledged-is-present", || {
                    format!("client {process} got revision {revision}; applied (revision, index): {applied:?}")
                })
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), Violation> {
        let lost =
            self.acknowledged.iter().find(|(id, revision)| self.applied.get(*id).map(|at| at.0) != Some(**revision));
        check(lost.is_none(), "acknowledged-is-present", || format!("lost: {lost:?}"))
    }
}
