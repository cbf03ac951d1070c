//! A process from its start to its end.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use disco_consensus::types::NodeInfo;
use disco_consensus::{LogStore, Pace, Parts, RaftSettings, StateMachine};
use disco_planner::twins::Start;
use disco_store::Limits;
use openraft::ServerState;
use openraft::async_runtime::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;
use turmoil::net::TcpListener;

use super::{members, reach, serve};
use crate::bug::Bug;
use crate::doors::{Caller, Doors};
use crate::events::{Event, Observer};
use crate::network::Network;
use crate::storage::{Disk, Machine, NodeDisk};
use crate::types::{RaftNode, Runtime, leader_of, place};
use crate::wire::PORT;

/// Nodes that request votes concurrently do so within this time.
const RIVALS_APART_MS: u64 = 10;

/// Separates the randomness of nodes from that of clients.
const OF_NODES: u64 = 0x6e6f_6465 << 32;

/// A machine: it stays when its process ends.
#[derive(Clone)]
pub struct Host {
    /// Its name on the network.
    pub name: String,
    /// Shared by all machines: where a node finds the others.
    pub everybody: Arc<Vec<String>>,
    /// The doors between it and the others.
    pub doors: Doors,
    /// The persistent state.
    pub state: Arc<Mutex<HostState>>,
    /// The observer.
    pub observer: Observer,
    /// openraft's settings.
    pub config: Arc<openraft::Config>,
    /// Intervals.
    pub pace: Pace,
    /// The bug to reintroduce.
    pub bug: Option<Bug>,
    /// Whether elections are triggered from outside, see [`HostState::elect`].
    pub rivals: bool,
    /// The seed of its randomness.
    pub seed: u64,
}

/// The mutable state of a machine.
pub struct HostState {
    /// The id of the node on it: a new one after its disk was lost.
    pub id: u64,
    /// Whether the cluster is founded here, once.
    pub founder: bool,
    /// Its disk.
    pub disk: Disk,
    /// How often a process was started here.
    pub lives: u64,
    /// The running process.
    pub process: Option<Process>,
    /// The planner's last result while this node led: that no change is needed, or the change.
    pub verdict: Option<Result<(), String>>,
    /// A transfer of leadership is requested, for the process's next pass.
    pub transfer: bool,
    /// Makes the process request votes at once.
    pub elect: Arc<Notify>,
}

/// A running process.
#[derive(Clone)]
pub struct Process {
    /// The node's id.
    pub id: u64,
    /// Its number among the processes of its machine.
    pub life: u64,
    /// Its machine.
    pub host: Host,
    /// Its Raft.
    pub raft: RaftNode,
    /// On the leader: the last report of each node.
    pub reports: Arc<Mutex<BTreeMap<u64, Reported>>>,
    /// For request ids.
    pub rng: Arc<Mutex<SmallRng>>,
}

/// A node's last report.
#[derive(Clone)]
pub struct Reported {
    /// When it arrived.
    pub at: tokio::time::Instant,
    /// Where the node listens.
    pub address: String,
    /// Which of the processes of its machine sent it.
    pub life: u64,
}

/// A node's view of the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term in which this node leads.
    pub own_term: Option<u64>,
    /// The leader.
    pub leader: Option<u64>,
}

/// The process of a machine, to be run by the simulation.
pub async fn start(host: Host) -> turmoil::Result {
    let (life, seed) = {
        let mut state = host.state.lock();
        state.lives += 1;
        (state.lives, host.seed.wrapping_mul(31).wrapping_add(state.lives))
    };
    Runtime::scope(seed, run(host, life, seed)).await
}

async fn run(host: Host, life: u64, seed: u64) -> turmoil::Result {
    let (id, disk, founder) = {
        let state = host.state.lock();
        (state.id, state.disk.clone(), state.founder)
    };
    tell_start(id, &disk, &host.observer)?;
    Runtime::spawn(disk.clone().run());
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let disk = NodeDisk { node: id, disk, observer: host.observer.clone(), bug: host.bug };
    let (machine, store) = StateMachine::open(disk.clone(), Limits::default())?;
    let machine = Machine::new(id, (machine, store.clone()), host.observer.clone(), host.bug);
    let transport = Network { node: id, caller: host.caller() };
    let parts = Parts { log: LogStore::open(disk.clone())?, disk, machine, store, transport };
    let config = host.config.as_ref().clone();
    let settings = RaftSettings { config, ..RaftSettings::new(id, host.pace, Start::default()) };
    let raft = RaftNode::open(settings, parts).await?;
    // Distinct from clients' randomness: two with the same request ids would get each other's answers.
    let rng = Arc::new(Mutex::new(SmallRng::seed_from_u64(seed ^ OF_NODES)));
    let process = Process { id, life, host: host.clone(), raft, reports: Arc::default(), rng };
    host.state.lock().process = Some(process.clone());

    if founder && process.raft.is_pristine()? {
        process.raft.initialize(NodeInfo { address: address(&host.name), name: host.name.clone() }).await?;
    }
    Runtime::spawn(members::run(process.clone()));
    Runtime::spawn(reach::run(process.clone()));
    if host.rivals {
        Runtime::spawn(elections(process.clone()));
    }
    Runtime::spawn(serve::listen(process.clone(), listener));
    follow(&process).await;
    // The daemon ends with Raft, and its supervisor restarts it.
    Ok(())
}

/// Requests votes when triggered, until Raft ends.
async fn elections(process: Process) {
    let elect = process.host.state.lock().elect.clone();
    loop {
        elect.notified().await;
        let pause = process.rng.lock().random_range(0..=RIVALS_APART_MS);
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        if process.raft.raft().trigger().elect(false).await.is_err() {
            return;
        }
    }
}

/// Reports the content of the disk; a crash may have lost entries that were reported before.
fn tell_start(node: u64, disk: &Disk, observer: &Observer) -> io::Result<()> {
    let vote = disk.durable_vote()?;
    observer.tell(Event::Started {
        node,
        vote: vote.as_ref().map(leader_of),
        committed_vote: vote.is_some_and(|vote| vote.committed),
    });
    let mut before = disk.purged()?;
    if let Some(purged) = &before {
        observer.tell(Event::Purged { node, upto: place(purged) });
    }
    for entry in disk.entries()? {
        observer.tell(Event::appended(node, &entry, before.as_ref()));
        before = Some(entry.log_id);
    }
    Ok(())
}

/// Reports leaderships, until Raft ends.
async fn follow(process: &Process) {
    let mut metrics = process.raft.raft().metrics();
    let mut last = None;
    loop {
        let (running, leads) = {
            let metrics = metrics.borrow_watched();
            let leads = (metrics.state == ServerState::Leader).then(|| leader_of(&metrics.vote));
            (metrics.running_state.is_ok(), leads)
        };
        if let Some(leader) = leads.filter(|_| leads != last) {
            process.host.observer.tell(Event::Leads { node: process.id, leader });
        }
        last = leads;
        if !running || metrics.changed().await.is_err() {
            return;
        }
    }
}

/// The address of a machine's process.
pub fn address(name: &str) -> String {
    format!("{name}:{PORT}")
}

// === impl Host ===

impl Host {
    /// The caller for connections that it opens.
    pub fn caller(&self) -> Caller {
        Caller { name: self.name.clone(), doors: self.doors.clone() }
    }
}

// === impl Process ===

impl Process {
    /// The leader.
    pub fn leadership(&self) -> Leadership {
        Leadership { own_term: self.raft.leads(), leader: self.raft.leadership().borrow().leader }
    }

    /// The address of a node in the membership.
    pub fn address_of(&self, node: u64) -> Option<String> {
        self.raft.member_address(node)
    }
}
