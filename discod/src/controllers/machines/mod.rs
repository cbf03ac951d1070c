//! Machines: brings the cluster to its target size.
//!
//! [`disco_planner::repair`] decides the next step, and this module performs it. A decision is written before it is performed: a
//! machine's record, with the token that makes its start happen at most once, exists before the provider is called. So
//! the next leader finds every machine that this one has begun, and continues.

mod addresses;
mod at_work;
mod attempts;
mod bring_up;
mod lost;
mod roles;
mod starts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use disco_planner::repair::{self, Machine, Plan, Stage, Step, View};
use disco_planner::{Member, Policy};
use disco_proto::v1::Progress;
use tokio::task::JoinSet;
use tokio::time::Instant;

use addresses::Addresses;
use at_work::{AtWork, Working};
use attempts::Attempts;
use lost::Lost;
use roles::Roles;
use starts::Starts;

use super::driver::{Controller, Outcome, Pause, Schedule, drive};

pub(super) use roles::{give_before_promotion, hold_rights};

use crate::cluster::machines::provider as source;
use crate::cluster::machines::view::{dead, limits, machine, since_replacement};
use crate::cluster::nodes::moving;
use crate::cluster::nodes::removal::{self, REMOVED, REMOVING};
use crate::cluster::nodes::view::planned;
use crate::node::Leader;
use crate::records::{self, MachineRecord, Records, Severity, machine_state as state};
use crate::script::Scripts;

/// Pause before a machine that could not be ended is ended again.
const END_AGAIN: Duration = Duration::from_secs(10);
/// How often the costs of machines are requested from the provider while nodes are missing.
const AVAILABLE_EVERY: Duration = Duration::from_secs(10);

/// Pause after a failed pass: the provider may refuse, or the store have no quorum.
const PAUSE: Pause = Pause { first: Duration::from_millis(250), longest: Duration::from_secs(5) };

pub(super) async fn run(leader: &Leader, scripts: &Scripts) {
    tokio::join!(
        drive(leader, Machines::new(scripts)),
        drive(leader, Addresses::default()),
        drive(leader, Roles::default()),
    );
}

/// Starts, replaces and ends machines until the cluster has its target size.
struct Machines {
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
    lost: Lost,
    starts: Arc<Starts>,
}

/// A task that has ended.
struct Done {
    /// Dropped only when the outcome is recorded: until then no task begins.
    working: Working,
    outcome: TaskOutcome,
}

/// The outcome of a task.
enum TaskOutcome {
    /// The node has joined, or another machine will be tried; or this failed with a reason.
    Started(Result<(), String>),
    /// The machine has ended, or this failed with a reason.
    Ended(Result<(), String>),
}

// === impl Machines ===

impl Controller for Machines {
    const NAME: &'static str = "machines";

    fn schedule(&self, leader: &Leader) -> Schedule {
        let period = leader.raft().pace().report();
        Schedule { period, on_wake_up: true, on_revision: Some(Duration::ZERO), pause: Some(PAUSE) }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
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

impl Machines {
    fn new(scripts: &Scripts) -> Self {
        Self {
            at_work: AtWork::default(),
            tasks: JoinSet::new(),
            done: Vec::new(),
            not_ended: BTreeMap::new(),
            attempts: Attempts::default(),
            blocked: None,
            available: None,
            moving: None,
            lost: Lost::new(scripts.clone()),
            starts: Arc::default(),
        }
    }

    async fn reconcile(&mut self, leader: &Leader) -> Result<()> {
        for machine in leader.raft().store().read(records::ending) {
            self.end(leader, machine.token);
        }
        let target = leader.raft().store().read(|store| records::get::<u32>(store, records::keys::DESIRED_NODES));
        let Some(records::Versioned { value: desired, revision, .. }) = target else { return Ok(()) };
        self.attempts.retry_for_target(revision);
        self.mark_joined(leader).await?;
        let mut members = planned(leader);
        let limits = limits(leader);
        self.lost.decide(leader, &mut members, &limits);
        let records = leader.raft().store().read(records::machines);
        let replaced = since_replacement(&records);
        let machines: Vec<Machine> = records.iter().map(machine).collect();
        let settled = members.len() == desired as usize
            && machines.iter().all(|machine| matches!(machine.stage, Stage::Joined(_)));
        if settled && members.iter().all(|member| !member.is_lost(&limits)) {
            self.blocked = None;
            leader.set_blocked(None);
            return Ok(());
        }
        let (available, limit) = self.available(leader, &members, &limits).await?;
        let limit = limit.as_str();
        let view =
            View { desired: desired as usize, members: &members, machines: &machines, available, limit, replaced };
        let Plan { steps, blocked } = repair::plan(view, &limits);
        self.report_blocked(leader, blocked.map(|blocked| blocked.to_string())).await;
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
    async fn available(&mut self, leader: &Leader, members: &[Member], limits: &Policy) -> Result<(usize, String)> {
        let dead = dead(members, limits);
        if let Some((at, of, known)) = &self.available
            && at.elapsed() < AVAILABLE_EVERY
            && *of == dead
        {
            return Ok(known.clone());
        }
        let known = source::available(leader, &dead).await?;
        self.available = (!known.1.is_empty()).then(|| (Instant::now(), dead, known.clone()));
        Ok(known)
    }

    async fn take(&mut self, leader: &Leader, step: Step) -> Result<()> {
        match step {
            Step::Start(count) => {
                for _ in 0..count {
                    let record = new_record(leader, false).await?;
                    self.spawn(leader, record.token);
                }
            }
            Step::Replace => {
                let record = new_record(leader, true).await?;
                let text = format!("{} replaces a lost node", record.name);
                records::emit_in_term(leader, "node.replaced", Severity::Warning, None, text).await;
                self.spawn(leader, record.token);
            }
            Step::Continue(token) => self.spawn(leader, token),
            // A task that still works on the machine would overwrite the mark.
            Step::Terminate(token) if self.at_work.contains(&token) => {}
            Step::Terminate(token) => {
                source::mark_ending(leader, &token).await?;
                self.end(leader, token);
            }
            Step::Remove(id) => {
                // A leaving node is one of the surplus nodes: it is removed before another one is chosen.
                let nodes = leader.raft().store().read(records::nodes);
                let id = nodes.iter().find(|node| node.leaving).map_or(id, |node| node.id);
                let since = self.moving.filter(|(moving, _)| *moving == id).map(|(_, since)| since);
                let moves = |since: Instant| since.elapsed() < moving::LIMIT && moving::has_tasks(leader, id);
                if since.is_some_and(moves) {
                    return Ok(());
                }
                // The decision relies on past reports: check for voters that have died since.
                removal::check(leader, id, false).await.map_err(anyhow::Error::msg)?;
                let subject = records::node_name(leader, id);
                let step =
                    |state: &str| Progress { subject: subject.clone(), state: state.to_owned(), ..Progress::default() };
                leader.progress(step(REMOVING));
                if since.is_none() {
                    removal::mark(leader, id, false).await?;
                    self.moving = Some((id, Instant::now()));
                    if moving::has_tasks(leader, id) {
                        leader.progress(step(moving::MOVING));
                        return Ok(());
                    }
                }
                removal::remove(leader, id, false).await?;
                let ending = leader.raft().store().read(records::ending);
                match ending.into_iter().find(|machine| machine.name == subject) {
                    // The last step is reported when the machine has ended.
                    Some(machine) => self.end(leader, machine.token),
                    None => leader.progress(Progress { done: true, ..step(REMOVED) }),
                }
            }
        }
        Ok(())
    }

    /// Works on a machine until its node has joined, or it has failed.
    fn spawn(&mut self, leader: &Leader, token: String) {
        if !self.attempts.is_due(&token, Instant::now()) {
            return;
        }
        let Some(working) = self.at_work.begin(&token) else { return };
        let (leader, starts) = (leader.clone(), Arc::clone(&self.starts));
        self.tasks.spawn(async move {
            let started = bring_up::bring_up(&leader, &token, &starts).await;
            Done { working, outcome: TaskOutcome::Started(started.map_err(|error| format!("{error:#}"))) }
        });
    }

    /// Ends a machine. If that fails, it delays nothing else and is tried again after a while.
    fn end(&mut self, leader: &Leader, token: String) {
        let now = Instant::now();
        if self.not_ended.get(&token).is_some_and(|again| now < *again) {
            return;
        }
        let Some(working) = self.at_work.begin(&token) else { return };
        let leader = leader.clone();
        self.tasks.spawn(async move {
            let ended = source::terminate(&leader, &token).await;
            Done { working, outcome: TaskOutcome::Ended(ended.map_err(|error| format!("{error:#}"))) }
        });
    }

    /// Records the outcome of a task.
    async fn done(&mut self, leader: &Leader, done: Done) {
        let Done { working, outcome } = done;
        let token = working.token().to_owned();
        match outcome {
            TaskOutcome::Started(Ok(())) => self.attempts.forget(&token),
            TaskOutcome::Started(Err(error)) => {
                self.attempts.failed(&token, Instant::now());
                let failed = Progress {
                    subject: token.clone(),
                    state: "failed".to_owned(),
                    error: error.clone(),
                    ..Progress::default()
                };
                leader.progress(failed);
                // The event marks the first failure; `status` shows the current one.
                if bring_up::note_error(leader, &token, &error).await {
                    let text = format!("the machine of {token} did not become a node and will be tried again: {error}");
                    records::emit_in_term(leader, "machine.failed", Severity::Warning, None, text).await;
                }
            }
            TaskOutcome::Ended(Ok(())) => {
                self.not_ended.remove(&token);
                self.attempts.forget(&token);
            }
            TaskOutcome::Ended(Err(error)) => {
                let first = self.not_ended.insert(token.clone(), Instant::now() + END_AGAIN).is_none();
                if first {
                    let text = format!("the machine of {token} was not ended and still costs money: {error}");
                    records::emit_in_term(leader, "machine.not_ended", Severity::Warning, None, text).await;
                }
                bring_up::note_error(leader, &token, &error).await;
            }
        }
    }

    /// Marks machines as joined whose nodes are members.
    async fn mark_joined(&self, leader: &Leader) -> Result<()> {
        let (nodes, machines) = leader.raft().store().read(|store| (records::nodes(store), records::machines(store)));
        let members = leader.raft().members();
        for machine in machines.into_iter().filter(|machine| machine.node.is_none() && !machine.id.is_empty()) {
            let joined = nodes.iter().find(|node| node.machine == machine.id);
            let Some(joined) = joined.filter(|joined| members.iter().any(|member| member.id == joined.id)) else {
                continue;
            };
            if note_joined(leader, &machine, joined.id).await? {
                let text = format!("{} has become a node, after earlier failures of its machine", joined.name);
                records::emit_in_term(leader, "machine.recovered", Severity::Info, Some(joined.id), text).await;
            }
        }
        Ok(())
    }

    /// Reports once why the cluster is below its target size.
    async fn report_blocked(&mut self, leader: &Leader, blocked: Option<String>) {
        if blocked == self.blocked {
            return;
        }
        if let Some(reason) = &blocked {
            let subject = leader.cluster_name().to_owned();
            leader.progress(Progress {
                subject,
                state: "blocked".to_owned(),
                error: reason.clone(),
                ..Progress::default()
            });
            records::emit_in_term(leader, "scale.blocked", Severity::Warning, None, reason.clone()).await;
        }
        leader.set_blocked(blocked.clone());
        self.blocked = blocked;
    }
}

/// Records the node that a machine has become. Returns whether the machine had failed before.
async fn note_joined(records: &impl Records, machine: &MachineRecord, node: u64) -> Result<bool> {
    let joined = |record: &MachineRecord| {
        let is_it = record.id == machine.id && record.node.is_none();
        let state = if record.state == state::TERMINATING { state::TERMINATING } else { state::JOINED }.to_owned();
        is_it.then(|| MachineRecord { node: Some(node), state, error: String::new(), ..record.clone() })
    };
    let changed = records::change(records, &records::keys::machine(&machine.token), joined).await?;
    Ok(changed.is_some_and(|changed| !changed.before.error.is_empty()))
}

/// Writes the record of a new machine; `replaces`: in place of a dead node.
async fn new_record(leader: &Leader, replaces: bool) -> Result<MachineRecord> {
    loop {
        let ((number, revision), (_, id_revision)) =
            leader.raft().store().read(|store| (records::next_machine(store), records::next_node_id(store)));
        let name = format!("{}-{number}", leader.cluster_name());
        let record = MachineRecord {
            token: name.clone(),
            name,
            state: state::STARTING.to_owned(),
            created_at: crate::clock::rfc3339(),
            created_ms: crate::clock::unix_ms(),
            replaces,
            ..MachineRecord::default()
        };
        let key = records::keys::machine(&record.token);
        let txn = records::Txn::new()
            .expect(records::keys::NEXT_MACHINE, revision)
            .expect(records::keys::NEXT_NODE_ID, id_revision)
            .expect(&key, 0)
            .put(records::keys::NEXT_MACHINE, &(number + 1))
            .put(records::keys::NEXT_NODE_ID, &(number + 1))
            // Machines join in any order: node 2 is the one with this number in its name.
            .put(&records::keys::reserved(&record.token), &number)
            .put(&key, &record);
        let response = leader.write_in_term(txn.operation()).await.context("recording a new machine")?;
        if records::succeeded(&response) {
            return Ok(record);
        }
    }
}
