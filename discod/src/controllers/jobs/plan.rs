//! One pass as a function: records, what is seen of nodes, and the time in, records as they shall be out.

use super::ages::Ages;
use super::view::Look;
use super::{ends, starts, ticks, tidy};
use crate::cluster::workloads::draft::Draft;
use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::table::ServiceId;
use crate::cluster::workloads::write::{self, Change};
use crate::controllers::workloads::seen::Seen;

/// Steps of one plan. Each is at most three records and an event, and a transaction has at most 128 operations.
pub(super) const MOST_STEPS: usize = 20;

/// What is missing.
pub(super) struct Planned {
    /// The records as they shall be, and events.
    pub draft: Draft,
    /// When time alone changes the plan: milliseconds from now.
    pub due: Option<u64>,
    /// What runs wait for.
    pub waits: Vec<String>,
}

/// Plans one pass whose changes fit into one transaction: of fewer steps, if their records are large.
///
/// # Errors
/// Why not even one step fits.
pub(super) fn plan_that_fits(records: &Workloads, seen: &Seen, ages: &Ages) -> Result<(Planned, Vec<Change>), String> {
    let mut steps = MOST_STEPS;
    loop {
        let planned = plan(records, seen, ages, steps);
        let changes = planned.draft.records.changes_since(records);
        match write::fits(&changes, &planned.draft.news) {
            Ok(()) => return Ok((planned, changes)),
            Err(why) if steps == 1 => return Err(why),
            Err(_) => steps /= 2,
        }
    }
}

/// Plans one pass of about so many steps.
pub(super) fn plan(records: &Workloads, seen: &Seen, ages: &Ages, steps: usize) -> Planned {
    let mut look = Look::new(records.clone(), seen, ages, steps);
    let ids: Vec<ServiceId> = look.records().jobs.iter().map(|(id, _)| id.clone()).collect();
    for id in ids {
        let job = look.job(&id);
        ends::note(&mut look, &job);
        ticks::decide(&mut look, &job);
    }
    // What a tick has just made gets its task in the same transaction.
    starts::begin(&mut look);
    tidy::tidy(&mut look);
    Planned { draft: look.pass.draft, due: look.pass.due, waits: look.pass.waits }
}
