//! A leader in memory.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use disco_planner::{Member as Planned, Policy};
use disco_proto::v1::command::Operation;
use disco_proto::v1::request_op::Request;
use disco_proto::v1::{CommandResponse, Progress, RequestOp};
use disco_provider::install::Boot;
use disco_provider::ssh::KeyPair;
use disco_provider::{Machine, Provider};
use disco_store::Store;
use tokio::sync::{MutexGuard, watch};

use super::super::addresses::Holder;
use super::super::leading::{Installs, Leading, Removes, Site};
use super::provider::FakeProvider;
use super::world::{Answer, At, Effect, State, When, World};
use crate::cluster::machines::ending;
use crate::cluster::machines::source::Source;
use crate::node::WriteError;
use crate::raft::{Member, NodeInfo, Pace, Role};
use crate::records::{self, EventRecord, MachineRecord, NodeRecord, Records, Txn, keys};

/// The leader of one term.
#[derive(Clone)]
pub(super) struct FakeLeader {
    world: World,
    term: u64,
}

// === impl FakeLeader ===

impl FakeLeader {
    pub fn new(world: &World, term: u64) -> Self {
        Self { world: world.clone(), term }
    }

    /// What is outside of the records.
    pub fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.world.state())
    }

    pub fn has_ended(&self) -> bool {
        *self.world.0.term.borrow() != self.term
    }

    pub async fn ended(&self) {
        self.world.0.term.subscribe().wait_for(|term| *term != self.term).await.unwrap();
    }

    /// Whether the term ends here.
    fn ends(&self, what: &[String]) -> Option<When> {
        let mut state = self.world.state();
        state.count += 1;
        let is_here = match &state.ends {
            Some((At::Number(number), _)) => *number == state.count,
            Some((At::Named(name), _)) => what.iter().any(|what| what == name),
            None => false,
        };
        if is_here { state.ends.take().map(|(_, when)| when) } else { None }
    }

    fn end(&self) {
        self.world.0.term.send_modify(|term| *term += 1);
    }

    pub fn note(&self, what: String) {
        let at = self.world.now();
        self.world.state().effects.push(Effect { at, what });
    }

    /// Performs an effect outside of the records. Once its term has ended, the caller hears nothing more.
    pub async fn perform<T>(&self, what: String, perform: impl FnOnce(&mut State) -> T + Send) -> anyhow::Result<T> {
        if self.has_ended() {
            return pending().await;
        }
        let ends = self.ends(std::slice::from_ref(&what));
        if ends == Some(When::Before) {
            self.end();
            return pending().await;
        }
        let answer = self.world.state().answers.get_mut(&what).and_then(VecDeque::pop_front);
        let outcome = match answer {
            Some(Answer::Hangs) => {
                self.note(format!("{what} hangs"));
                self.world.changed();
                return pending().await;
            }
            Some(Answer::Fails(why)) => {
                self.note(format!("{what} fails"));
                Err(anyhow!(why))
            }
            answer => {
                if let Some(Answer::Takes(time)) = answer {
                    self.world.pass(time).await;
                }
                let performed = perform(&mut self.world.state());
                self.note(what);
                Ok(performed)
            }
        };
        self.world.changed();
        if ends == Some(When::After) {
            self.end();
            return pending().await;
        }
        outcome
    }
}

impl Records for FakeLeader {
    fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        self.world.0.records.read(look)
    }

    async fn write(&self, operation: Operation) -> Result<CommandResponse, WriteError> {
        let deposed = || WriteError::Unavailable { last: "another node leads".to_owned() };
        if self.has_ended() {
            return Err(deposed());
        }
        let changes = describe(&operation);
        let ends = self.ends(&changes);
        if ends == Some(When::Before) {
            self.end();
            return Err(deposed());
        }
        let written = self.world.0.records.write(operation).await?;
        if records::succeeded(&written) {
            changes.into_iter().for_each(|change| self.note(change));
        }
        self.world.changed();
        if ends == Some(When::After) {
            self.end();
            return Err(WriteError::Unknown("the leader was lost".to_owned()));
        }
        Ok(written)
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }
}

/// The changes of machines and nodes, and the events, in a transaction.
fn describe(operation: &Operation) -> Vec<String> {
    let Operation::Txn(txn) = operation else { return Vec::new() };
    let change = |op: &RequestOp| match op.request.as_ref()? {
        Request::Put(put) => {
            let key = std::str::from_utf8(&put.key).ok()?;
            if key.starts_with(keys::MACHINES) {
                let MachineRecord { token, state, error, .. } = serde_json::from_slice(&put.value).ok()?;
                Some(if error.is_empty() { format!("{token} {state}") } else { format!("{token} {state}: {error}") })
            } else if key.starts_with(keys::NODES) {
                let node: NodeRecord = serde_json::from_slice(&put.value).ok()?;
                Some(format!("{} {}", node.name, if node.leaving { "leaves" } else { "changes" }))
            } else if key.starts_with(keys::EVENTS) {
                let event: EventRecord = serde_json::from_slice(&put.value).ok()?;
                Some(format!("event {}", event.kind))
            } else {
                None
            }
        }
        Request::DeleteRange(delete) => {
            let token = std::str::from_utf8(&delete.key).ok()?.strip_prefix(keys::MACHINES)?;
            Some(format!("forget {token}"))
        }
        _ => None,
    };
    txn.success.iter().filter_map(change).collect()
}

impl Source for FakeLeader {
    fn provider(&self) -> anyhow::Result<Arc<dyn Provider>> {
        Ok(Arc::new(FakeProvider(self.clone())))
    }

    fn has_provider(&self) -> bool {
        true
    }

    async fn clear(&self, record: &MachineRecord, _: &Machine) -> anyhow::Result<()> {
        self.perform(format!("clear {}", record.token), |_| ()).await
    }

    fn progress(&self, step: Progress) {
        self.world.set(|state| state.progress.push(step));
    }
}

impl Leading for FakeLeader {
    fn pace(&self) -> Pace {
        Pace::Fast
    }

    fn cluster_name(&self) -> &str {
        "web"
    }

    fn own_machine(&self) -> Option<Holder> {
        Some(Holder { id: 1, name: "web-1".to_owned(), machine: "i-1".to_owned() })
    }

    fn members(&self) -> Vec<Member> {
        let of = |id: u64, votes: bool| {
            let info = NodeInfo { address: format!("10.0.0.{id}:5080"), name: format!("web-{id}") };
            Member { id, info, role: if votes { Role::Voter } else { Role::Learner }, matched: None }
        };
        self.world.state().members.iter().map(|(id, member)| of(*id, member.voter)).collect()
    }

    fn planned(&self) -> Vec<Planned> {
        let nodes = self.read(records::nodes);
        let leaves = |id: u64| nodes.iter().any(|node| node.id == id && node.leaving);
        let of = |id: u64, voter: bool, silent_for: Duration| Planned {
            id,
            voter,
            leader: id == 1,
            silent_for,
            up_to_date: true,
            draining: leaves(id),
            retiring: false,
            unhealthy_for: Duration::ZERO,
            spared: false,
        };
        self.world.state().members.iter().map(|(id, seen)| of(*id, seen.voter, seen.silent_for)).collect()
    }

    fn limits(&self) -> Policy {
        Policy::default()
    }

    fn revisions(&self) -> watch::Receiver<i64> {
        self.world.0.revisions.subscribe()
    }

    fn set_blocked(&self, reason: Option<String>) {
        let before = std::mem::replace(&mut self.world.state().blocked, reason.clone());
        if before != reason {
            self.world.changed();
        }
    }

    async fn rights(&self) -> MutexGuard<'_, ()> {
        self.world.0.rights.lock().await
    }

    fn ssh_key(&self) -> anyhow::Result<KeyPair> {
        Ok(KeyPair::generate("test")?)
    }
}

impl Installs for FakeLeader {
    type Programs = ();
    type Remote = ();

    async fn programs(&self) -> anyhow::Result<()> {
        Ok(())
    }

    async fn reach(&self, (): &(), site: &Site) -> anyhow::Result<()> {
        self.perform(format!("reach {}", site.machine.id), |_| ()).await
    }

    async fn install(&self, (): &(), site: &Site, (): &()) -> anyhow::Result<Boot> {
        let token = site.record.token.clone();
        let world = self.world.clone();
        let is_silent = self.perform(format!("install {token}"), |state| state.silent).await?;
        if !is_silent {
            world.join(&token);
        }
        Ok(Boot::Starts)
    }

    async fn log(&self, (): &()) -> String {
        "no space left on device\n".to_owned()
    }
}

impl Removes for FakeLeader {
    fn has_tasks(&self, id: u64) -> bool {
        self.world.state().busy.contains(&id)
    }

    async fn check_removal(&self, id: u64) -> Result<(), String> {
        self.perform(format!("check {id}"), |_| ()).await.map_err(|error| error.to_string())
    }

    async fn mark_removal(&self, id: u64) -> anyhow::Result<()> {
        let leaves = |record: &NodeRecord| (!record.leaving).then(|| NodeRecord { leaving: true, ..record.clone() });
        records::change(self, &keys::node(id), leaves).await?;
        Ok(())
    }

    async fn remove(&self, id: u64) -> anyhow::Result<()> {
        let Some(record) = self.read(|store| records::node(store, id)) else { return Ok(()) };
        self.perform(format!("remove {id}"), |state| state.members.remove(&id)).await?;
        ending::mark_released(self, &record).await?;
        self.write(Txn::new().delete(&keys::node(id)).operation()).await?;
        Ok(())
    }
}
