//! One node's Raft, in types of its own.

use disco_planner::Pace;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use disco_planner::twins::{Life, Start};
use disco_proto::v1::{Command, CommandResponse};
use disco_store::Limits;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{ClientWriteError, LinearizableReadError, RaftError as OpenraftError};
use openraft::network::NetSnapshot;
use openraft::{Instant, Raft, RaftNetworkFactory, ReadPolicy};
use prost::Message;
use thiserror::Error;
use tokio::sync::watch;

use super::disk::Disk;
use super::files::Files;
use super::follow;
use super::heard::{Heard, answered_by_majority};
use super::lives::{Lives, NotTheNode};
use super::log_bound;
use super::log_store::LogStore;
use super::membership::Role;
use super::platform::Platform;
use super::read_index::ReadIndex;
use super::space::FreeSpace;
use super::state_machine::{SharedStore, StateMachine};
use super::ticks;
use super::types::{NodeInfo, Request, TypeConfig};

/// Election timeouts of silence after which there is no leader; as etcd's `maxNoLeaderCnt`.
const ELECTIONS: u32 = 3;

/// openraft's handle on a platform.
pub type OpenRaft<P> = Raft<TypeConfig<<P as Platform>::Runtime>, <P as Platform>::Machine>;

/// Settings of a node's Raft.
#[derive(Debug)]
pub struct RaftSettings {
    /// This node's id, never 0 and never used by another node.
    pub node_id: u64,
    /// Intervals.
    pub pace: Pace,
    /// openraft's settings: [`crate::openraft_config`].
    pub config: openraft::Config,
    /// This start of the data folder.
    pub start: Start,
}

// === impl RaftSettings ===

impl RaftSettings {
    /// The settings of a node at this pace.
    #[must_use]
    pub fn new(node_id: u64, pace: Pace, start: Start) -> Self {
        Self { node_id, pace, config: crate::pace::config(pace), start }
    }
}

/// What a node's Raft is made of.
pub struct Parts<P: Platform> {
    /// The disk.
    pub disk: P::Disk,
    /// The log on it.
    pub log: LogStore<P::Disk>,
    /// Applies the log's entries.
    pub machine: P::Machine,
    /// What it applies them to.
    pub store: SharedStore,
    /// The way to the other nodes.
    pub transport: P::Transport,
}

/// Why Raft did not perform a request.
#[derive(Debug, Error)]
pub enum RaftError {
    /// Send the request to the leader, if one is known; else retry later.
    #[error("this node is not the leader")]
    NotLeader {
        /// Id and address of the leader.
        leader: Option<(u64, String)>,
    },
    /// It may have been applied, or may still be.
    #[error("no quorum answered within {0:?}; outcome unknown")]
    Unknown(Duration),
    /// The membership does not allow it.
    #[error("{0}")]
    Membership(String),
    /// Raft has ended on this node: its disk failed, or it shuts down.
    #[error("Raft has stopped on this node: {0}")]
    Stopped(String),
}

/// The leadership as this node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The newest term that this node has seen.
    pub term: u64,
    /// The leader of that term.
    pub leader: Option<u64>,
    /// Whether this node leads, and may propose.
    pub is_self: bool,
}

/// Handle of a node's Raft. Cheap to clone.
pub struct RaftNode<P: Platform> {
    inner: Arc<Inner<P>>,
}

struct Inner<P: Platform> {
    id: u64,
    raft: OpenRaft<P>,
    store: SharedStore,
    log: LogStore<P::Disk>,
    disk: P::Disk,
    pace: Pace,
    leadership: watch::Receiver<Leadership>,
    read_index: ReadIndex,
    lives: Lives<P>,
    heard: Heard,
    /// Held while the membership is changed.
    changes: tokio::sync::Mutex<()>,
}

// === impl Parts ===

impl<P: Platform<Machine = StateMachine<<P as Platform>::Disk>>> Parts<P> {
    /// Opens log and store on the disk.
    ///
    /// # Errors
    /// They cannot be read, or are damaged.
    pub fn open(disk: P::Disk, limits: Limits, transport: P::Transport) -> io::Result<Self> {
        let log = LogStore::open(disk.clone())?;
        let (machine, store) = StateMachine::open(disk.clone(), limits)?;
        Ok(Self { disk, log, machine, store, transport })
    }
}

// === impl RaftNode ===

impl<P: Platform> Clone for RaftNode<P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<P: Platform> RaftNode<P>
where
    <P::Transport as RaftNetworkFactory<TypeConfig<P::Runtime>>>::Network:
        NetSnapshot<TypeConfig<P::Runtime>, SnapshotData = <P::Disk as Disk>::Snapshot>,
{
    /// Starts Raft.
    ///
    /// # Errors
    /// The log cannot be read, or the settings contradict each other.
    pub async fn open(settings: RaftSettings, parts: Parts<P>) -> io::Result<Self> {
        let RaftSettings { node_id, pace, config, start } = settings;
        let Parts { disk, log, machine, store, transport } = parts;
        let config = config.validate().map_err(io::Error::other)?;
        let raft = Raft::new(node_id, Arc::new(config), transport.clone(), log.clone(), machine);
        let raft: OpenRaft<P> = raft.await.map_err(io::Error::other)?;
        let heard = Heard::default();
        let leadership = follow::leadership::<P>(&raft, node_id, heard.clone());
        follow::addresses::<P>(&raft, transport.clone());
        ticks::spawn::<P>(&raft, node_id, pace, heard.clone());
        log_bound::spawn::<P>(&raft, log.clone());
        let read_index = ReadIndex::start::<P>(&raft, node_id, pace, leadership.clone(), transport.clone());
        let lives = Lives::new(node_id, start, transport, raft.clone(), store.clone(), pace);
        let inner = Inner {
            id: node_id,
            raft,
            store,
            log,
            disk,
            pace,
            leadership,
            read_index,
            lives,
            heard,
            changes: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl<P: Platform<Disk = Files>> RaftNode<P> {
    /// The free space of this node's disk.
    #[must_use]
    pub fn room(&self) -> FreeSpace {
        self.inner.disk.space().room()
    }
}

impl<P: Platform> RaftNode<P> {
    /// This node's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// The intervals in use.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.inner.pace
    }

    /// The state as this node has applied it.
    #[must_use]
    pub fn store(&self) -> &SharedStore {
        &self.inner.store
    }

    /// The leadership, and its changes.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    /// The term in which this node leads now, if it does.
    #[must_use]
    pub fn leads(&self) -> Option<u64> {
        let leadership = self.inner.leadership.borrow();
        leadership.is_self.then_some(leadership.term)
    }

    /// Whether this node knows a leader that is not silent: it hears from that leader, or leads and hears from a majority
    /// of the voters. Answers at once, from what arrived in the last three election timeouts.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        let limit = self.inner.pace.election_timeout() * ELECTIONS;
        let Some(leader) = self.inner.leadership.borrow().leader else { return false };
        let answered = || {
            let members = self.members();
            let voters = members.iter().filter(|member| member.role == Role::Voter).map(|member| member.id);
            leader == self.inner.id && answered_by_majority(leader, voters, &self.acknowledged(), limit)
        };
        self.inner.heard.within(leader, limit) || answered()
    }

    /// Takes note of a message that a node sent as the leader.
    pub fn heard(&self, from: u64) {
        self.inner.heard.note(from);
    }

    /// Whether nothing was ever written on this node.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn is_pristine(&self) -> io::Result<bool> {
        self.inner.log.is_pristine()
    }

    /// Makes this pristine node the first and only member of a new cluster.
    ///
    /// # Errors
    /// The node is not pristine, or Raft has stopped.
    pub async fn initialize(&self, info: NodeInfo) -> Result<(), RaftError> {
        let members = BTreeMap::from([(self.inner.id, info)]);
        self.inner.raft.initialize(members).await.map_err(|error| RaftError::Membership(error.to_string()))
    }

    /// Appends a command to the log and waits until it is applied on this node, which must be the leader.
    ///
    /// # Errors
    /// See [`RaftError`]; a refusal by the store is not an error here but part of the answer.
    pub async fn propose(&self, command: &Command) -> Result<CommandResponse, RaftError> {
        let request = Request(Bytes::from(command.encode_to_vec()));
        let limit = self.inner.pace.request_timeout();
        let write = tokio::time::timeout(limit, self.inner.raft.client_write(request)).await;
        let written = write.map_err(|_| RaftError::Unknown(limit))?.map_err(|error| self.write_error(error))?;
        written.data.0.ok_or_else(|| RaftError::Stopped("a command was applied without a response".to_owned()))
    }

    /// Returns once a read of [`RaftNode::store`] reflects every write acknowledged before the call. Only on the
    /// leader.
    ///
    /// By read index: the leader confirms with a quorum that it still leads, so no clock is trusted.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn linearizable(&self) -> Result<(), RaftError> {
        let limit = self.inner.pace.request_timeout();
        let read = tokio::time::timeout(limit, self.inner.raft.ensure_linearizable(ReadPolicy::ReadIndex)).await;
        match read.map_err(|_| RaftError::Unknown(limit))? {
            Ok(_) => Ok(()),
            Err(OpenraftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(self.not_leader(forward.leader_id, forward.leader_node.as_ref()))
            }
            Err(OpenraftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Err(RaftError::Unknown(limit)),
            Err(OpenraftError::Fatal(fatal)) => Err(RaftError::Stopped(fatal.to_string())),
        }
    }

    /// Term and index of the last entry in this node's log: of several nodes, the one with the highest lacks nothing
    /// that another has.
    #[must_use]
    pub fn last_log_id(&self) -> (u64, u64) {
        self.inner.log.last().map_or((0, 0), |id| (id.committed_leader_id().term, id.index))
    }

    /// Index of the last entry in this node's log.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        self.inner.raft.metrics().borrow_watched().last_log_index.unwrap_or(0)
    }

    /// On the leader: time since each other member last acknowledged it.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeMap<u64, Duration> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let heartbeats = metrics.heartbeat.iter().flatten();
        heartbeats.filter_map(|(id, at)| at.as_ref().map(|at| (*id, at.elapsed()))).collect()
    }

    /// Transfers leadership to the given voter, or to the most up-to-date one, and returns once another node leads.
    ///
    /// # Errors
    /// No other voter exists, or none became leader within two election timeouts.
    pub async fn transfer_leadership(&self, to: Option<u64>) -> Result<u64, RaftError> {
        let target = match to {
            Some(id) => Some(id),
            None => {
                let members = self.members();
                let others = members.iter().filter(|member| member.role == Role::Voter && member.id != self.inner.id);
                others.max_by_key(|member| member.matched).map(|member| member.id)
            }
        };
        let Some(target) = target else {
            return Err(RaftError::Membership("the cluster has no other voter".to_owned()));
        };
        let stopped = |fatal: openraft::error::Fatal<TypeConfig<P::Runtime>>| RaftError::Stopped(fatal.to_string());
        self.inner.raft.trigger().transfer_leader(target).await.map_err(stopped)?;
        let limit = self.inner.pace.election_timeout() * 4;
        let mut leadership = self.leadership();
        let changed = leadership.wait_for(|now| now.leader.is_some_and(|leader| leader != self.inner.id));
        match tokio::time::timeout(limit, changed).await {
            Ok(Ok(now)) => Ok(now.leader.unwrap_or(target)),
            Ok(Err(_)) => Err(RaftError::Stopped("it shuts down".to_owned())),
            Err(_) => Err(RaftError::Unknown(limit)),
        }
    }

    /// This start of the node.
    #[must_use]
    pub fn start(&self) -> &Start {
        self.inner.lives.own()
    }

    /// Checks that the process that claims to be this start of a node is that node.
    ///
    /// # Errors
    /// Why it is not that node.
    pub async fn check_life(&self, node: u64, claim: Life, earlier: &[u64]) -> Result<(), NotTheNode> {
        self.inner.lives.check(node, claim, earlier).await
    }

    /// Stops Raft. The log stays as it is.
    pub async fn shutdown(&self) {
        // Writes that wait for disk space would wait forever.
        self.inner.disk.close();
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "Raft did not shut down cleanly");
        }
    }

    /// Returns once Raft has stopped, with the reason: from then on this process is useless.
    pub async fn stopped(&self) -> String {
        // The channel of all metrics is written at every tick, up to twenty-five times a second; this one only on changes, and it
        // closes when Raft ends.
        let mut changes = self.inner.raft.server_metrics();
        while changes.changed().await.is_ok() {}
        match &self.inner.raft.metrics().borrow_watched().running_state {
            Err(fatal) => fatal.to_string(),
            Ok(()) => "it has ended".to_owned(),
        }
    }

    /// Held while the membership is changed.
    pub(super) fn changes(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.changes
    }

    /// openraft's own handle, to which the messages of other nodes go.
    #[must_use]
    pub fn raft(&self) -> &OpenRaft<P> {
        &self.inner.raft
    }

    /// Answers reads of other nodes.
    #[must_use]
    pub fn read_index(&self) -> &ReadIndex {
        &self.inner.read_index
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &P::Disk {
        &self.inner.disk
    }

    pub(super) fn write_error(
        &self,
        error: OpenraftError<TypeConfig<P::Runtime>, ClientWriteError<TypeConfig<P::Runtime>>>,
    ) -> RaftError {
        match error {
            OpenraftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
                self.not_leader(forward.leader_id, forward.leader_node.as_ref())
            }
            OpenraftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
                RaftError::Unknown(self.inner.pace.request_timeout())
            }
            OpenraftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
                RaftError::Membership(error.to_string())
            }
            OpenraftError::APIError(ClientWriteError::PreconditionFailed(error)) => {
                RaftError::Membership(error.to_string())
            }
            OpenraftError::Fatal(fatal) => RaftError::Stopped(fatal.to_string()),
        }
    }

    /// The leader that openraft names; a node that names itself has lost its quorum, so no leader is known.
    fn not_leader(&self, id: Option<u64>, node: Option<&NodeInfo>) -> RaftError {
        let leader = id.filter(|id| *id != self.inner.id).zip(node.map(|node| node.address.clone()));
        RaftError::NotLeader { leader }
    }
}
