//! A leader in memory, node 1, of which all other nodes hear and report at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use disco_consensus::members::pass;
use disco_planner::members::{Leader as Own, Node, Reason, Record, Report};
use disco_planner::{Member as Planned, Policy};
use disco_proto::v1::command::Operation;
use disco_proto::v1::request_op::Request;
use disco_proto::v1::{CommandResponse, ReportRequest, RequestOp};
use disco_store::Store;
use futures_util::FutureExt;
use parking_lot::{Mutex, MutexGuard};

use super::super::act::Acting;
use super::super::leading::Leading;
use super::membership::changed;
use crate::args::DaemonArgs;
use crate::home::VoterSecrets;
use crate::node::WriteError;
use crate::raft::{Member, NodeInfo, Role, remembered};
use crate::records::{self, EventRecord, FakeRecords, NodeRecord, Records, Txn, keys};

/// Serial of the leader's signing key.
const SERIAL: &str = "s1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

#[derive(Default)]
pub(super) struct State {
    pub members: BTreeMap<u64, Member>,
    silent: BTreeMap<u64, Duration>,
    reports: BTreeMap<u64, ReportRequest>,
    /// The errors of the next attempts, by effect.
    failures: BTreeMap<String, VecDeque<&'static str>>,
    /// The term ends at the effect with this number.
    ends: Option<(usize, When)>,
    count: usize,
    has_ended: bool,
    effects: Vec<String>,
    /// The format of the data can be raised.
    raises: bool,
}

#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    records: FakeRecords,
    state: Mutex<State>,
    args: Option<DaemonArgs>,
}

/// The outcome of an effect.
pub(super) enum Outcome {
    Done,
    Fails(&'static str),
    /// The term has ended. Whether the effect was performed is unknown.
    Deposed,
}

pub(super) fn address(id: u64) -> String {
    format!("10.0.0.{id}:5080")
}

fn first_report(node_id: u64, serial: &str) -> ReportRequest {
    ReportRequest { node_id, address: address(node_id), signing_serial: serial.to_owned(), ..ReportRequest::default() }
}

// === impl Fake ===

impl Fake {
    /// Members that report; the first `voters` of them vote, and have the secrets.
    pub fn new(members: u64, voters: u64) -> Self {
        let fake = Self::default();
        for id in 1..=members {
            fake.admit(id);
            let (role, serial) = if id <= voters { (Role::Voter, SERIAL) } else { (Role::Learner, "") };
            fake.add(id, role, serial);
        }
        fake
    }

    /// A leader without any record.
    pub fn founder(args: DaemonArgs) -> Self {
        let fake = Self(Arc::new(Inner { args: Some(args), ..Inner::default() }));
        fake.add(1, Role::Voter, SERIAL);
        fake
    }

    fn add(&self, id: u64, role: Role, serial: &str) {
        let info = NodeInfo { address: address(id), name: format!("web-{id}") };
        let mut state = self.state();
        state.members.insert(id, Member { id, info, role, matched: Some(0) });
        state.reports.insert(id, first_report(id, serial));
    }

    /// A node has joined, and reports.
    pub fn admit(&self, id: u64) {
        let record = NodeRecord { id, name: format!("web-{id}"), address: address(id), ..NodeRecord::default() };
        self.0.records.put(&keys::node(id), &record);
        self.state().reports.insert(id, first_report(id, ""));
    }

    pub fn report(&self, id: u64, change: impl FnOnce(&mut ReportRequest)) {
        change(self.state().reports.get_mut(&id).unwrap());
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    pub fn fail(&self, what: &str, why: &'static str) {
        self.state().failures.entry(what.to_owned()).or_default().push_back(why);
    }

    /// Performs an effect, or ends the term.
    pub fn perform(&self, what: String, perform: impl FnOnce(&mut State)) -> Outcome {
        let mut state = self.state();
        if state.has_ended {
            return Outcome::Deposed;
        }
        state.count += 1;
        let ends = state.ends.filter(|(number, _)| *number == state.count).map(|(_, when)| when);
        state.has_ended = ends.is_some();
        if ends == Some(When::Before) {
            return Outcome::Deposed;
        }
        if let Some(why) = state.failures.get_mut(&what).and_then(VecDeque::pop_front) {
            state.effects.push(format!("{what} fails"));
            return Outcome::Fails(why);
        }
        perform(&mut state);
        state.effects.push(what);
        if ends.is_some() { Outcome::Deposed } else { Outcome::Done }
    }

    pub fn effects(&self) -> Vec<String> {
        std::mem::take(&mut self.state().effects)
    }

    /// Another leader's term begins.
    pub fn next_term(&self) {
        let mut state = self.state();
        (state.has_ended, state.ends) = (false, None);
    }

    /// Passes until nothing is due; the effects of each.
    pub async fn settle(&self) -> Vec<Vec<String>> {
        let mut passes = Vec::new();
        while pass(&Acting(self)).await.unwrap() {
            passes.push(self.effects());
            assert!(passes.len() < 20, "{passes:?}");
        }
        passes.extend(Some(self.effects()).filter(|effects| !effects.is_empty()));
        passes
    }

    pub fn votes(&self) -> Vec<u64> {
        let state = self.state();
        state.members.values().filter(|member| member.role == Role::Voter).map(|member| member.id).collect()
    }

    pub fn node(&self, id: u64) -> Option<NodeRecord> {
        self.0.records.get(&keys::node(id))
    }

    /// A member's address in the membership.
    pub fn address_of(&self, id: u64) -> String {
        self.state().members[&id].info.address.clone()
    }

    pub fn records(&self) -> &FakeRecords {
        &self.0.records
    }

    /// The revision of the records.
    pub fn revision(&self) -> i64 {
        self.0.records.read(Store::revision)
    }

    pub fn silence(&self, id: u64, silent_for: Duration) {
        self.state().silent.insert(id, silent_for);
    }

    pub fn raise_format_once(&self) {
        self.state().raises = true;
    }

    pub fn end_term(&self, number: usize, when: When) {
        self.state().ends = Some((number, when));
    }

    pub fn has_ended(&self) -> bool {
        self.state().has_ended
    }

    pub fn count(&self) -> usize {
        self.state().count
    }
}

fn done(outcome: Outcome) -> Result<()> {
    Ok(changed(outcome)?)
}

impl Records for Fake {
    fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        self.0.records.read(look)
    }

    async fn write(&self, operation: Operation) -> Result<CommandResponse, WriteError> {
        let what = describe(&operation);
        let mut written = None;
        match self.perform(what, |_| written = self.0.records.write(operation).now_or_never()) {
            Outcome::Done => written.expect("a store in memory answers at once"),
            Outcome::Fails(why) => Err(WriteError::Unavailable { last: why.to_owned() }),
            Outcome::Deposed => Err(WriteError::Unknown("the leader was lost".to_owned())),
        }
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }
}

/// The changes of nodes' records and the events in a transaction.
fn describe(operation: &Operation) -> String {
    let Operation::Txn(txn) = operation else { return String::new() };
    let number = |key: &bytes::Bytes| keys::number(keys::NODES, key);
    let change = |op: &RequestOp| match op.request.as_ref()? {
        Request::Put(put) if put.key.starts_with(keys::EVENTS.as_bytes()) => {
            let event: EventRecord = serde_json::from_slice(&put.value).ok()?;
            Some(format!("event {}", event.kind))
        }
        Request::Put(put) => Some(format!("record {}", number(&put.key)?)),
        Request::DeleteRange(delete) => Some(format!("forget {}", number(&delete.key)?)),
        _ => None,
    };
    txn.success.iter().filter_map(change).collect::<Vec<_>>().join(", ")
}

impl Leading for Fake {
    type Raft = Self;

    fn raft(&self) -> &Self {
        self
    }

    fn own(&self) -> Own {
        Own { id: 1, free: u64::MAX, serial: Some(SERIAL.to_owned()), ..Own::default() }
    }

    fn nodes(&self, members: &[Member]) -> Vec<Node> {
        let mut nodes = disco_consensus::members::nodes(members, 0);
        let state = self.state();
        for (id, report) in &state.reports {
            let node = nodes.entry(*id).or_insert_with(|| Node { id: *id, ..Node::default() });
            let (address, serial) = (report.address.clone(), report.signing_serial.clone());
            let fresh = !state.silent.contains_key(id);
            node.report = Some(Report { fresh, address, good: true, serial, ..Report::default() });
        }
        for node in nodes.values_mut() {
            let record = self.read(|store| records::node(store, node.id));
            node.record = record.map(|record| Record { leaving: record.leaving, life: remembered(&record) });
        }
        nodes.into_values().collect()
    }

    fn planned(&self) -> Vec<Planned> {
        let state = self.state();
        let of = |member: &Member| Planned {
            id: member.id,
            voter: member.role == Role::Voter,
            leader: member.id == 1,
            silent_for: state.silent.get(&member.id).copied().unwrap_or_default(),
            up_to_date: true,
            draining: false,
            retiring: false,
            unhealthy_for: Duration::ZERO,
            spared: false,
        };
        state.members.values().map(of).collect()
    }

    fn policy(&self) -> Policy {
        Policy::default()
    }

    fn report(&self, id: u64) -> Option<ReportRequest> {
        self.state().reports.get(&id).cloned()
    }

    fn args(&self, id: u64) -> Option<&DaemonArgs> {
        self.0.args.as_ref().filter(|_| id == 1)
    }

    async fn complete_keys(&self) {}

    fn without_keys(&self) -> Vec<u64> {
        Vec::new()
    }

    fn secrets(&self) -> Option<VoterSecrets> {
        let empty = String::new;
        Some(VoterSecrets { intermediate_certificate: empty(), intermediate_key: empty(), ssh_private_key: empty() })
    }

    fn hands_over(&self, _: u64, _: Reason) {}

    async fn hold_rights(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        None
    }

    async fn give_rights(&self, id: u64) {
        drop(done(self.perform(format!("rights {id}"), |_| ())));
    }

    async fn give_secrets(&self, id: u64, _: VoterSecrets) -> Result<()> {
        done(self.perform(format!("secrets {id}"), |state| {
            state.reports.get_mut(&id).unwrap().signing_serial = SERIAL.to_owned();
        }))
    }

    async fn take_back_secrets(&self, id: u64) {
        drop(done(self.perform(format!("take back {id}"), |state| {
            state.reports.get_mut(&id).unwrap().signing_serial.clear();
        })));
    }

    async fn retire_keys(&self, _: &[Member]) -> Result<bool> {
        Ok(false)
    }

    async fn raise_format(&self, _: &[Member]) -> Result<bool> {
        if !self.state().raises {
            return Ok(false);
        }
        done(self.perform("raise".to_owned(), |state| state.raises = false))?;
        Ok(true)
    }

    async fn report_event(&self, kind: &str, id: u64, _: &str) {
        drop(done(self.perform(format!("{kind} {id}"), |_| ())));
    }

    async fn remove(&self, id: u64) -> Result<()> {
        done(self.perform(format!("remove {id}"), |state| drop(state.members.remove(&id))))?;
        self.write(Txn::new().delete(&keys::node(id)).operation()).await?;
        Ok(())
    }
}
