//! Machines: brings the cluster to its target size.
//!
//! `view` reads what exists, [`disco_planner::repair`] decides the next step, and `act` performs it, by `bring_up` for a machine that
//! becomes a node. A decision is written before it is performed: a machine's record, with the token that makes its start happen at
//! most once, exists before the provider is called. So the next leader finds every machine that this one has begun, and continues.
//!
//! All effects go through `leading`, so that the tests perform them in memory, with a provider that fails, hangs, or whose answer
//! comes after the term has ended.

mod act;
mod addresses;
mod at_work;
mod attempts;
mod bring_up;
mod install;
mod leading;
mod lost;
mod roles;
mod starts;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use disco_planner::repair::{self, Plan, Step, View};
use disco_planner::{Member, Policy};
use tokio::task::JoinSet;
use tokio::time::Instant;

use act::Done;
use addresses::Addresses;
use at_work::AtWork;
use attempts::Attempts;
use leading::Leading;
use lost::{Lost, NodeLost};
use roles::Roles;
use starts::Starts;
use view::Seen;

use super::driver::{Controller, Outcome, Pause, Schedule, drive};

pub(super) use roles::{give_before_promotion, hold_rights};

use crate::cluster::machines::{capacity, view::dead};
use crate::node::Leader;
use crate::records;
use crate::script::Scripts;

/// How often the costs of machines are requested from the provider while nodes are missing.
const AVAILABLE_EVERY: Duration = Duration::from_secs(10);

/// Pause after a failed pass: the provider may refuse, or the store have no quorum.
const PAUSE: Pause = Pause { first: Duration::from_millis(250), longest: Duration::from_secs(5) };

pub(super) async fn run(leader: &Leader, scripts: &Scripts) {
    tokio::join!(
        drive(leader, Machines::new(scripts.clone())),
        drive(leader, Addresses::default()),
        drive(leader, Roles::default()),
    );
}

/// Starts, replaces and ends machines until the cluster has its target size.
struct Machines<H> {
    /// Machines that a task works on.
    at_work: AtWork,
    tasks: JoinSet<Done>,
    /// Tasks that have ended since the last pass.
    done: Vec<Done>,
    /// Machines that could not be ended, and the time of the next attempt.
    not_ended: BTreeMap<String, Instant>,
    /// Machines that have failed so far.
    attempts: Attempts,
    /// Why no more machines were started in the last pass.
    blocked: Option<String>,
    /// The machines that the provider could start a moment ago, while these members were dead, if there is a limit.
    available: Option<(Instant, Vec<u64>, (usize, String))>,
    /// The node that leaves while its tasks move, and since when.
    moving: Option<(u64, Instant)>,
    /// The script's decisions about lost nodes.
    lost: Lost<H>,
    starts: Arc<Starts>,
}

// === impl Machines ===

impl<L: Leading, H: NodeLost<L>> Controller<L> for Machines<H> {
    const NAME: &'static str = "machines";

    fn schedule(&self, leader: &L) -> Schedule {
        let period = leader.pace().report();
        Schedule { period, on_wake_up: true, on_revision: Some(Duration::ZERO), pause: Some(PAUSE) }
    }

    async fn pass(&mut self, leader: &L) -> Result<Outcome> {
        for done in std::mem::take(&mut self.done) {
            self.done(leader, done).await;
        }
        self.reconcile(leader).await?;
        Ok(self.blocked.clone().map_or(Outcome::Settled, Outcome::Waits))
    }

    async fn event(&mut self) {
        tokio::select! {
            biased;
            // A panic was already logged.
            Some(done) = self.tasks.join_next() => self.done.extend(done.ok()),
            () = self.lost.answered() => {}
        }
    }
}

impl<H> Machines<H> {
    fn new(hook: H) -> Self {
        Self {
            at_work: AtWork::default(),
            tasks: JoinSet::new(),
            done: Vec::new(),
            not_ended: BTreeMap::new(),
            attempts: Attempts::default(),
            blocked: None,
            available: None,
            moving: None,
            lost: Lost::new(hook),
            starts: Arc::default(),
        }
    }

    async fn reconcile<L: Leading>(&mut self, leader: &L) -> Result<()>
    where
        H: NodeLost<L>,
    {
        for machine in leader.read(records::ending) {
            self.end(leader, machine.token);
        }
        let Some((desired, revision)) = leader.read(view::target) else { return Ok(()) };
        self.attempts.retry_for_target(revision);
        self.mark_joined(leader).await?;
        let mut members = leader.planned();
        let limits = leader.limits();
        self.lost.decide(leader, &mut members, &limits);
        let seen = Seen::look(leader);
        let begun = self.moving.map(|(id, _)| id).filter(|id| leader.read(|store| view::leaves(store, *id)));
        if begun.is_none() && seen.is_settled(desired, &members, &limits) {
            self.blocked = None;
            leader.set_blocked(None);
            return Ok(());
        }
        let (available, limit) = self.available(leader, &members, &limits).await?;
        let (limit, replaced) = (limit.as_str(), seen.replaced);
        let view = View { desired, members: &members, machines: &seen.machines, available, limit, replaced };
        let Plan { mut steps, blocked } = repair::plan(view, &limits);
        self.report_blocked(leader, blocked.map(|blocked| blocked.to_string())).await;
        // A marked node gets neither votes nor tasks: its removal is completed, even if the target size was raised meanwhile.
        if !steps.iter().any(|step| matches!(step, Step::Remove(_))) {
            steps.extend(begun.map(Step::Remove));
        }
        for step in steps {
            if matches!(step, Step::Start(_) | Step::Replace) {
                self.available = None;
            }
            self.take(leader, step).await?;
        }
        Ok(())
    }

    /// How many machines can be started, and why not more. With a price limit this needs a request to the provider, which
    /// is not repeated in every pass.
    async fn available(
        &mut self,
        leader: &impl Leading,
        members: &[Member],
        limits: &Policy,
    ) -> Result<(usize, String)> {
        let dead = dead(members, limits);
        if let Some((at, of, known)) = &self.available
            && at.elapsed() < AVAILABLE_EVERY
            && *of == dead
        {
            return Ok(known.clone());
        }
        let known = capacity::available(leader, &dead).await?;
        self.available = (!known.1.is_empty()).then(|| (Instant::now(), dead, known.clone()));
        Ok(known)
    }
}
