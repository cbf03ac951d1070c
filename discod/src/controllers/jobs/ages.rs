//! How long something is so, by this leader's own clock.
//!
//! A clock that is set must neither end a run before its time limit nor let one wait for hours. What an earlier leader has begun counts
//! from the recorded time, as there is no other.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::workloads::draft::Moment;
use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::table::RunId;

/// When this leader has first seen each try, and each wait.
#[derive(Default)]
pub(super) struct Firsts {
    tries: BTreeMap<u64, (Instant, Duration)>,
    /// Tasks whose program has not started.
    unstarted: BTreeMap<u64, (Instant, Duration)>,
    /// With the recorded beginning, by which a later wait of the same run differs.
    waits: BTreeMap<RunId, (String, Instant)>,
    /// It has looked before.
    has_looked: bool,
}

/// The time since then.
#[derive(Clone, Debug, Default)]
pub(super) struct Ages {
    /// Since the start of tasks' programs.
    pub tries: BTreeMap<u64, Duration>,
    /// Since nodes shall start tasks that have not started.
    pub unstarted: BTreeMap<u64, Duration>,
    /// Since runs wait, as this leader has seen it, with the recorded beginning: a plan may begin another wait of the same run.
    pub waits: BTreeMap<RunId, (String, Duration)>,
}

// === impl Firsts ===

impl Firsts {
    /// Notes what is new, and forgets what is no more.
    pub fn follow(&mut self, records: &Workloads, moment: &Moment, now: Instant) -> Ages {
        let (mut tries, mut unstarted, mut waits) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (id, run) in records.runs.iter().filter(|(_, run)| !run.is_over()) {
            let known = self.waits.get(id).filter(|(since, _)| *since == run.since);
            waits.insert(id.clone(), known.cloned().unwrap_or_else(|| (run.since.clone(), now)));
            let Some(task) = run.task.and_then(|task| records.tasks.get(&task)) else { continue };
            let started = records.states.get(&task.id).and_then(|state| state.started_at.as_ref());
            let (known, new, since) = match started {
                Some(started) => (&self.tries, &mut tries, started),
                None => (&self.unstarted, &mut unstarted, &task.since),
            };
            // A program that starts while this leader looks has just started, whatever the node's clock shows.
            let before = if self.has_looked { 0 } else { moment.since(since) };
            let first = (now, Duration::from_millis(before));
            new.insert(task.id, known.get(&task.id).copied().unwrap_or(first));
        }
        (self.tries, self.unstarted, self.waits, self.has_looked) = (tries, unstarted, waits, true);
        let ages = |firsts: &BTreeMap<u64, (Instant, Duration)>| {
            firsts.iter().map(|(task, (first, before))| (*task, now - *first + *before)).collect()
        };
        Ages {
            tries: ages(&self.tries),
            unstarted: ages(&self.unstarted),
            waits: self.waits.iter().map(|(id, (since, first))| (id.clone(), (since.clone(), now - *first))).collect(),
        }
    }
}
