//! Histories are linearizable: there is an order of all operations, consistent with each client and the clock, in which every
//! answer is right.
//!
//! Checked for each key by the algorithm of Wing, Gong and Lowe, from `todc-utils`. An operation without an answer counts as ended
//! after all others if it was applied; else it is ignored.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use todc_utils::{Action, History, WGLChecker};

use super::{Invariant, Violation, check};
use crate::events::Event;
use crate::history::{Key, Operation};

#[derive(Default)]
pub(super) struct Linearizable {
    keys: BTreeMap<u8, Vec<(usize, Action<Operation>)>>,
    open: BTreeMap<usize, (u8, Operation, Bytes)>,
    applied: BTreeSet<Bytes>,
}

impl Invariant for Linearizable {
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Called { process, key, operation, request_id } => {
                self.keys.entry(*key).or_default().push((*process, Action::Call(*operation)));
                self.open.insert(*process, (*key, *operation, request_id.clone()));
            }
            Event::Answered { process, key, operation, .. } => {
                self.open.remove(process);
                self.keys.entry(*key).or_default().push((*process, Action::Response(*operation)));
            }
            Event::Applied(applied) => drop(self.applied.insert(applied.request_id.clone())),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Violation> {
        for (process, (key, operation, request_id)) in std::mem::take(&mut self.open) {
            let history = self.keys.entry(key).or_default();
            if self.applied.contains(&request_id) {
                history.push((process, Action::Response(operation)));
            } else if let Some(call) = history.iter().rposition(|(caller, _)| *caller == process) {
                history.remove(call);
            }
        }
        for (key, actions) in std::mem::take(&mut self.keys) {
            let operations = actions.len() / 2;
            let linearizable = actions.is_empty() || WGLChecker::<Key>::is_linearizable(History::from_actions(actions));
            check(linearizable, "linearizable", || {
                format!("no order of the {operations} operations on key {key} explains what clients saw")
            })?;
        }
        Ok(())
    }
}
