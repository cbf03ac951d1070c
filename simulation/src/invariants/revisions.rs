//! Revisions never go back for a reader: not between two linearizable reads of a client, from any nodes, and
//! not between two stale reads from one node while it runs.
//!
//! A killed node applies its log again when it starts, and until it has caught up its stale answers may be older than
//! before; that is not a violation, so only answers of the same life are compared.

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
            // A retried write has the revision of its first application, so only reads are ordered.
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
