//! A request id applies once: of the entries that carry it one changes the store, all others have that one's answer.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Invariant, Violation, check};
use crate::events::Event;

#[derive(Default)]
pub(super) struct AppliedOnce {
    /// The index at which each was applied.
    first: BTreeMap<Bytes, u64>,
}

impl Invariant for AppliedOnce {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Event::Applied(applied) = event else { return Ok(()) };
        if applied.request_id.is_empty() || applied.repeated {
            return Ok(());
        }
        let (node, index) = (applied.node, applied.place.index);
        let first = *self.first.entry(applied.request_id.clone()).or_insert(index);
        check(first == index, "request-applies-once", || {
            format!("node {node} applied request {} at {first} and at {index}", hex::encode(&applied.request_id))
        })
    }
}
