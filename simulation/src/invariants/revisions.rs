//! Revisions never go back for a reader: not between two answers of a client that asks for the newest, whoever answers, and
//! not between two stale answers of one node while it runs.
//!
//! A node that was killed applies its log again when it starts, and until it has caught up its stale answers may be older
//! than those before; that is not a violation, so a node's life is part of what is compared.

use std::collections::BTreeMap;

use super::{Invariant, Violation, check};
use crate::events::Event;
use crate::history::Operation;

#[derive(Default)]
pub(super) struct Revisions {
    clients: BTreeMap<usize, i64>,
    nodes: BTreeMap<(u64, u64), i64>,
}

impl Invariant for Revisions {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            // A write that comes again has the revision of its first time, so reads alone are ordered.
            Event::Answered { process, operation: Operation::Read(_), revision, .. } => {
                let last = self.clients.entry(*process).or_default();
                check(*revision >= *last, "revisions-never-go-back", || {
                    format!("client {process} read revision {revision} after {last}")
                })?;
                *last = *revision;
                Ok(())
            }
            Event::ReadStale { process, node, life, revision } => {
                let last = self.nodes.entry((*node, *life)).or_default();
                check(*revision >= *last, "revisions-never-go-back", || {
                    format!("client {process} read revision {revision} on node {node} after {last}")
                })?;
                *last = *revision;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
