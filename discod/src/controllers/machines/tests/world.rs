//! A cluster in memory, and its leaders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use disco_proto::v1::Progress;
use disco_provider::{Capabilities, Machine};
use disco_store::Store;
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::Machines;
use super::super::lost::NodeLost;
use super::leader::FakeLeader;
use super::provider::{CLOUD, machine};
use crate::controllers::driver::{Controller, Signals, run};
use crate::node::{Passes, WakeUps};
use crate::records::{
    self, EventRecord, FakeRecords, MachineRecord, NodeRecord, Records, keys, machine_state as state,
};

/// For what comes at last.
const DEADLINE: Duration = Duration::from_secs(3600);
/// More effects mean that a leader never rests.
const MOST_EFFECTS: usize = 1_000;

/// Where a term ends: right before or right after an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

/// The effect at which a term ends.
#[derive(Clone, Debug)]
pub(super) enum At {
    Number(usize),
    Named(&'static str),
}

/// How the next attempt of an effect goes, if not well.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Fails(&'static str),
    Takes(Duration),
    Hangs,
}

/// An effect that was performed or attempted.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    /// Since the beginning of the test.
    pub at: Duration,
    pub what: String,
}

/// A node that is a member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub voter: bool,
    pub silent_for: Duration,
}

/// The cluster outside of its records.
pub(super) struct State {
    pub members: BTreeMap<u64, Seen>,
    /// What the provider lists, and the most that it starts.
    pub machines: Vec<Machine>,
    pub most: Option<usize>,
    pub capabilities: Capabilities,
    pub answers: BTreeMap<String, VecDeque<Answer>>,
    pub ends: Option<(At, When)>,
    pub effects: Vec<Effect>,
    pub count: usize,
    /// Nodes with tasks.
    pub busy: BTreeSet<u64>,
    /// Installed nodes stay silent.
    pub silent: bool,
    pub blocked: Option<String>,
    pub progress: Vec<Progress>,
    /// The script's answers about lost nodes, if it exports the hook.
    pub hook: Option<BTreeMap<u64, bool>>,
    /// Permissions of machines, and the holder of the cluster's address.
    pub votes: BTreeMap<String, bool>,
    pub holder: Option<String>,
}

/// A cluster and its provider. They outlive the leaders.
#[derive(Clone)]
pub(super) struct World(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub records: FakeRecords,
    pub revisions: watch::Sender<i64>,
    pub term: watch::Sender<u64>,
    pub rights: tokio::sync::Mutex<()>,
    changes: watch::Sender<()>,
    wake_ups: WakeUps,
    begun: Instant,
    state: Mutex<State>,
}

// === impl World ===

impl World {
    /// A settled cluster `web` of so many nodes: node 1 leads, and is on the operator's machine.
    pub fn new(nodes: u64) -> Self {
        let state = State {
            members: (1..=nodes).map(|id| (id, Seen { voter: true, ..Seen::default() })).collect(),
            machines: (1..=nodes).map(|id| machine(id, &format!("web-{id}"))).collect(),
            most: None,
            capabilities: CLOUD,
            answers: BTreeMap::new(),
            ends: None,
            effects: Vec::new(),
            count: 0,
            busy: BTreeSet::new(),
            silent: false,
            blocked: None,
            progress: Vec::new(),
            hook: None,
            votes: BTreeMap::new(),
            holder: None,
        };
        let inner = Inner {
            records: FakeRecords::default(),
            revisions: watch::Sender::new(0),
            term: watch::Sender::new(1),
            rights: tokio::sync::Mutex::default(),
            changes: watch::Sender::new(()),
            wake_ups: WakeUps::default(),
            begun: Instant::now(),
            state: Mutex::new(state),
        };
        let world = Self(Arc::new(inner));
        for id in 1..=nodes {
            let (name, machine) = (format!("web-{id}"), format!("i-{id}"));
            world.put(
                &keys::node(id),
                &NodeRecord { id, name: name.clone(), machine: machine.clone(), ..NodeRecord::default() },
            );
            if id > 1 {
                let (state, node) = (state::JOINED.to_owned(), Some(id));
                let record =
                    MachineRecord { token: name.clone(), name, id: machine, state, node, ..MachineRecord::default() };
                world.put(&keys::machine(&record.token), &record);
            }
        }
        world.put(keys::NEXT_NODE_ID, &(nodes + 1));
        world.put(keys::NEXT_MACHINE, &(nodes + 1));
        world
    }

    /// Like [`World::new`], with a target size.
    pub fn with_target(nodes: u64, target: u32) -> Self {
        let world = Self::new(nodes);
        world.put(keys::DESIRED_NODES, &target);
        world
    }

    pub fn put<T: Serialize>(&self, key: &str, record: &T) {
        self.0.records.put(key, record);
        self.changed();
    }

    /// Changes what is outside of the records.
    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed();
    }

    /// Held within one statement alone.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// Has the next attempts of an effect go like this.
    pub fn answer(&self, what: &str, answers: &[Answer]) {
        self.state().answers.insert(what.to_owned(), answers.iter().copied().collect());
    }

    /// Ends the term at this effect.
    pub fn end_term(&self, at: At, when: When) {
        self.state().ends = Some((at, when));
    }

    pub fn changed(&self) {
        self.0.revisions.send_replace(self.0.records.read(Store::revision));
        self.0.changes.send_replace(());
        self.0.wake_ups.wake();
    }

    /// Leaders work, one after the other, until the course has ended.
    pub async fn lead<T>(&self, course: impl Future<Output = T>) -> T {
        let leaders = async {
            loop {
                self.lead_one_term().await;
            }
        };
        tokio::select! {
            biased;
            () = leaders => unreachable!("there is always another leader"),
            ended = course => ended,
        }
    }

    pub fn leader(&self) -> FakeLeader {
        FakeLeader::new(self, *self.0.term.borrow())
    }

    async fn lead_one_term(&self) {
        let (leader, passes) = (self.leader(), Passes::default());
        let controller = Machines::new(Script(self.clone()));
        let schedule = Controller::<FakeLeader>::schedule(&controller, &leader);
        let signals = Signals::new(schedule, self.0.wake_ups.listen(), self.0.revisions.subscribe());
        tokio::select! {
            biased;
            () = leader.ended() => {}
            () = run(&leader, &passes, signals, schedule.pause, controller) => {}
        }
    }

    /// Returns when it is so.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let mut changes = self.0.changes.subscribe();
        let wait = async {
            while !is_so(self) {
                changes.changed().await.unwrap();
                assert!(self.effects().len() < MOST_EFFECTS, "the leaders never rest\n{}", self.describe());
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            panic!("not within an hour: {what}\n{}", self.describe());
        }
    }

    /// Returns when there are so many nodes, and nothing is left to do.
    pub async fn settled(&self, nodes: usize) {
        let is_settled = |world: &Self| {
            let all_joined = world.machines().iter().all(|machine| machine.state == state::JOINED);
            let state = world.state();
            all_joined && state.members.len() == nodes && state.machines.len() == nodes
        };
        self.until("settled", is_settled).await;
    }

    /// So much time passes on the paused clock, with all that is due meanwhile. No real time does.
    pub async fn pass(&self, time: Duration) {
        let over = tokio::time::timeout(time, std::future::pending::<()>()).await;
        assert!(over.is_err(), "nothing else ends it");
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.0.begun.elapsed()
    }

    pub fn machines(&self) -> Vec<MachineRecord> {
        self.0.records.read(records::machines)
    }

    pub fn machine(&self, token: &str) -> Option<MachineRecord> {
        self.0.records.get(&keys::machine(token))
    }

    pub fn node(&self, id: u64) -> Option<NodeRecord> {
        self.0.records.get(&keys::node(id))
    }

    /// Kinds of all events.
    pub fn events(&self) -> Vec<String> {
        self.event_records().into_iter().map(|event| event.kind).collect()
    }

    pub fn event_records(&self) -> Vec<EventRecord> {
        self.0.records.read(|store| records::events_after(store, 0, 1_000))
    }

    /// All effects so far.
    pub fn effects(&self) -> Vec<String> {
        self.state().effects.iter().map(|effect| effect.what.clone()).collect()
    }

    /// When the effect was performed or attempted.
    pub fn times(&self, what: &str) -> Vec<Duration> {
        let is_it = |effect: &&Effect| effect.what == what || effect.what.strip_suffix(" fails") == Some(what);
        self.state().effects.iter().filter(is_it).map(|effect| effect.at).collect()
    }

    /// Fails unless these effects were performed, in this order.
    pub fn assert_order(&self, order: &[&str]) {
        let effects = self.effects();
        let mut rest = effects.iter();
        for what in order {
            assert!(
                rest.any(|effect| effect == what),
                "`{what}` is missing in the order {order:?}\n{}",
                self.describe()
            );
        }
    }

    /// A member dies, or lives again.
    pub fn silence(&self, id: u64, silent_for: Duration) {
        self.set(|state| state.members.get_mut(&id).unwrap().silent_for = silent_for);
    }

    /// The node with the number in the machine's token becomes a member.
    pub fn join(&self, token: &str) {
        let record = self.machine(token).unwrap();
        let id: u64 = token.trim_start_matches("web-").parse().unwrap();
        self.0
            .records
            .put(&keys::node(id), &NodeRecord { id, name: record.name, machine: record.id, ..NodeRecord::default() });
        self.set(|state| state.members.extend([(id, Seen::default())]));
    }

    /// For the message of a failed test.
    pub fn describe(&self) -> String {
        let (mut text, machines, state) = (String::new(), self.machines(), self.state());
        for Effect { at, what } in &state.effects {
            writeln!(text, "{:>9.3} s  {what}", at.as_secs_f64()).unwrap();
        }
        for machine in machines {
            writeln!(text, "{machine:?}").unwrap();
        }
        writeln!(text, "members {:?}, blocked {:?}", state.members, state.blocked).unwrap();
        text
    }
}

/// The script, whose hook answers once the test has set the answer.
#[derive(Clone)]
pub(super) struct Script(World);

impl NodeLost<FakeLeader> for Script {
    fn is_exported(&self, _: &FakeLeader) -> bool {
        self.0.state().hook.is_some()
    }

    async fn call(&self, leader: &FakeLeader, lost: disco_runtime_js::cluster::NodeInfo) -> bool {
        leader.note(format!("hook {}", lost.name));
        let answer = |world: &World| world.state().hook.as_ref().and_then(|answers| answers.get(&lost.id).copied());
        self.0.until("an answer of the hook", |world| answer(world).is_some()).await;
        answer(&self.0).unwrap()
    }
}
