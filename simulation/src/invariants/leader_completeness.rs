//! Leader completeness: what was committed under one leader is in the logs of all later leaders.
//!
//! When a node becomes leader, all entries that any node has applied and that older leaders made must be in its log, or below
//! its start. The content of logs is tracked by appends, truncations and purges; losses of a crash are found by reading the
//! disk when the node starts (see [`crate::node`], which reports all entries again).

use std::collections::BTreeMap;

use super::{Invariant, Violation, check};
use crate::events::Event;
use crate::types::{Leader, Place};

#[derive(Default)]
pub(super) struct LeaderCompleteness {
    committed: BTreeMap<u64, Leader>,
    logs: BTreeMap<u64, NodeLog>,
}

#[derive(Default)]
struct NodeLog {
    entries: BTreeMap<u64, Leader>,
    starts_after: u64,
}

impl LeaderCompleteness {
    fn commit(&mut self, place: Place) {
        self.committed.entry(place.index).or_insert(place.leader);
    }
}

impl Invariant for LeaderCompleteness {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Started { node, .. } => drop(self.logs.insert(*node, NodeLog::default())),
            Event::Appended { node, place, .. } => {
                self.logs.entry(*node).or_default().entries.insert(place.index, place.leader);
            }
            Event::Truncated { node, first } => {
                drop(self.logs.entry(*node).or_default().entries.split_off(first));
            }
            Event::Purged { node, upto } => {
                let log = self.logs.entry(*node).or_default();
                log.starts_after = log.starts_after.max(upto.index);
                log.entries = log.entries.split_off(&(upto.index + 1));
            }
            Event::Passed { place, .. } => self.commit(*place),
            Event::Applied(applied) => self.commit(applied.place),
            Event::Leads { node, leader } => {
                let log = self.logs.entry(*node).or_default();
                for (index, made_by) in self.committed.range(log.starts_after + 1..) {
                    if *made_by >= *leader {
                        break;
                    }
                    let there = log.entries.get(index);
                    check(there == Some(made_by), "leader-completeness", || {
                        format!("{leader:?} leads and has {there:?} where {index}@{made_by:?} is committed")
                    })?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
