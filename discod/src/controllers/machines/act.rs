//! The steps of a plan as they are performed: records first, then the provider, by tasks that hold up nothing else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use disco_planner::repair::Step;
use disco_proto::v1::Progress;
use tokio::time::Instant;

use super::at_work::Working;
use super::leading::Leading;
use super::{Machines, bring_up, view};
use crate::cluster::machines::ending;
use crate::cluster::nodes::moving;
use crate::cluster::nodes::removal::{REMOVED, REMOVING};
use crate::records::{self, MachineRecord, Records, Severity, machine_state as state};

/// Pause before a machine that could not be ended is ended again.
const END_AGAIN: Duration = Duration::from_secs(10);

/// A task that has ended.
pub(super) struct Done {
    /// Dropped only when the outcome is recorded: until then no task begins.
    working: Working,
    outcome: TaskOutcome,
}

/// The outcome of a task.
pub(super) enum TaskOutcome {
    /// The node has joined, or another machine will be tried; or this failed with a reason.
    Started(Result<(), String>),
    /// The machine has ended, or this failed with a reason.
    Ended(Result<(), String>),
}

// === impl Machines ===

impl<H> Machines<H> {
    /// Performs a step of the plan.
    pub(super) async fn take(&mut self, leader: &impl Leading, step: Step) -> Result<()> {
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
                ending::mark_ending(leader, &token).await?;
                self.end(leader, token);
            }
            Step::Remove(id) => self.remove(leader, id).await?,
        }
        Ok(())
    }

    /// Removes a surplus node, once its tasks have moved, or after [`moving::LIMIT`].
    async fn remove(&mut self, leader: &impl Leading, chosen: u64) -> Result<()> {
        let id = leader.read(|store| view::next_to_leave(store, chosen));
        let since = self.moving.filter(|(moving, _)| *moving == id).map(|(_, since)| since);
        let moves = |since: Instant| since.elapsed() < moving::LIMIT && leader.has_tasks(id);
        if since.is_some_and(moves) {
            return Ok(());
        }
        // The decision relies on past reports: check for voters that have died since.
        leader.check_removal(id).await.map_err(anyhow::Error::msg)?;
        let subject = leader.read(|store| view::name_of(store, id));
        let step = |state: &str| Progress { subject: subject.clone(), state: state.to_owned(), ..Progress::default() };
        leader.progress(step(REMOVING));
        if since.is_none() {
            leader.mark_removal(id).await?;
            self.moving = Some((id, Instant::now()));
            if leader.has_tasks(id) {
                leader.progress(step(moving::MOVING));
                return Ok(());
            }
        }
        leader.remove(id).await?;
        let ending = leader.read(records::ending);
        match ending.into_iter().find(|machine| machine.name == subject) {
            // The last step is reported when the machine has ended.
            Some(machine) => self.end(leader, machine.token),
            None => leader.progress(Progress { done: true, ..step(REMOVED) }),
        }
        Ok(())
    }

    /// Works on a machine until its node has joined, or it has failed.
    fn spawn(&mut self, leader: &impl Leading, token: String) {
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
    pub(super) fn end(&mut self, leader: &impl Leading, token: String) {
        let now = Instant::now();
        if self.not_ended.get(&token).is_some_and(|again| now < *again) {
            return;
        }
        let Some(working) = self.at_work.begin(&token) else { return };
        let leader = leader.clone();
        self.tasks.spawn(async move {
            let ended = ending::terminate(&leader, &token).await;
            Done { working, outcome: TaskOutcome::Ended(ended.map_err(|error| format!("{error:#}"))) }
        });
    }

    /// Records the outcome of a task.
    pub(super) async fn done(&mut self, leader: &impl Leading, done: Done) {
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
    pub(super) async fn mark_joined(&self, leader: &impl Leading) -> Result<()> {
        for (machine, node) in view::joined(leader) {
            if note_joined(leader, &machine, node.id).await? {
                let text = format!("{} has become a node, after earlier failures of its machine", node.name);
                records::emit_in_term(leader, "machine.recovered", Severity::Info, Some(node.id), text).await;
            }
        }
        Ok(())
    }

    /// Reports once why the cluster is below its target size.
    pub(super) async fn report_blocked(&mut self, leader: &impl Leading, blocked: Option<String>) {
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
async fn new_record(leader: &impl Leading, replaces: bool) -> Result<MachineRecord> {
    loop {
        let ((number, revision), (_, id_revision)) =
            leader.read(|store| (records::next_machine(store), records::next_node_id(store)));
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
        let response = leader.write(txn.operation()).await.context("recording a new machine")?;
        if records::succeeded(&response) {
            return Ok(record);
        }
    }
}
