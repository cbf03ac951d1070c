//! openraft's messages to other nodes. As in the daemon, none relies on a default of the trait.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use disco_consensus::Transport;
use disco_consensus::append_stream::{self, Answers};
use disco_consensus::types::{NodeInfo, Request as ByteString};
use disco_planner::twins::Life;
use futures_util::Stream;
use futures_util::future::{Either, select};
use openraft::OptionalSend;
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};

use crate::doors::{Caller, Passage};
use crate::storage;
use crate::types::{Runtime, Snapshot, TypeConfig, Vote};
use crate::wire::{Answer, Ask, Line, RaftAnswer, RaftAsk};

pub type Rpc = RPCError<TypeConfig>;

/// Makes the connections of one node.
#[derive(Clone)]
pub struct Network {
    /// The node's id.
    pub node: u64,
    /// Its machine.
    pub caller: Caller,
}

/// The connection to one peer.
pub struct Connection {
    from: u64,
    to: u64,
    line: Line,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &NodeInfo) -> Connection {
        Connection { from: self.node, to: target, line: Line::new(self.caller.clone(), &node.address) }
    }
}

/// The caller stops waiting for a read index long before.
const READ_INDEX_WITHIN: Duration = Duration::from_secs(600);

impl Transport<Runtime> for Network {
    /// Machines keep their addresses.
    fn set_address(&self, _: u64, _: &str) {}

    fn resolve(&self, _: u64, recorded: &str) -> String {
        recorded.to_owned()
    }

    /// Over a new connection, while the daemon has one.
    async fn read_index(&self, leader: u64, address: &str) -> Result<u64, String> {
        let mut line = Line::new(self.caller.clone(), address);
        match line.ask(&Ask::ReadIndex { to: leader }, READ_INDEX_WITHIN).await {
            Ok(Answer::Index(index)) => Ok(index),
            Ok(Answer::Unavailable(why)) => Err(why),
            Ok(_) => Err("an answer to another question".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Messages here do not claim a start of their node.
    async fn identify(&self, _: u64, _: &str, _: Duration) -> Option<Life> {
        None
    }
}

// === impl Connection ===

impl Connection {
    async fn ask(&mut self, ask: RaftAsk, limit: Duration) -> Result<RaftAnswer, Rpc> {
        answered(self.line.ask(&Ask::Raft { to: self.to, ask }, limit).await)
    }

    /// The caller.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// The target.
    pub fn to(&self) -> u64 {
        self.to
    }

    /// The doors for another connection to it.
    pub fn passage(&self) -> Passage {
        self.line.passage()
    }

    /// Its address.
    pub fn address(&self) -> &str {
        self.line.address()
    }
}

/// A node's answer to a message of Raft.
pub fn answered(answer: io::Result<Answer>) -> Result<RaftAnswer, Rpc> {
    match answer {
        Ok(Answer::Raft(answer)) => Ok(answer),
        Ok(Answer::Unavailable(why)) => Err(RPCError::Unreachable(Unreachable::new(&io::Error::other(why)))),
        Ok(_) => Err(unexpected()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(RPCError::Network(NetworkError::new(&error))),
        Err(error) => Err(RPCError::Unreachable(Unreachable::new(&error))),
    }
}

impl RaftAnswer {
    /// The answer to entries.
    pub fn append(self) -> Result<AppendEntriesResponse<TypeConfig>, Rpc> {
        match self {
            Self::Append(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> Rpc {
    RPCError::Network(NetworkError::new(&io::Error::other("an answer to another question")))
}

impl RaftNetworkV2<TypeConfig> for Connection {
    type SnapshotData = storage::Snapshot;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Rpc> {
        self.ask(RaftAsk::Append(rpc), option.soft_ttl()).await?.append()
    }

    fn stream_append<'s, S>(&'s mut self, input: S, option: RPCOption) -> Answers<'s, TypeConfig>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        append_stream::stream(self, input, option)
    }

    async fn vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> Result<VoteResponse<TypeConfig>, Rpc> {
        match self.ask(RaftAsk::Vote(rpc), option.soft_ttl()).await? {
            RaftAnswer::Vote(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Rpc> {
        match self.ask(RaftAsk::PreVote(rpc), option.soft_ttl()).await? {
            RaftAnswer::Vote(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Rpc> {
        match self.ask(RaftAsk::Transfer(request), option.soft_ttl()).await? {
            RaftAnswer::Transfer(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let ask = RaftAsk::Snapshot {
            vote,
            meta: snapshot.meta,
            bytes: ByteString(Bytes::copy_from_slice(snapshot.snapshot.bytes())),
        };
        let call = self.ask(ask, option.soft_ttl());
        match select(std::pin::pin!(call), std::pin::pin!(cancel)).await {
            Either::Left((Ok(RaftAnswer::Snapshot(answer)), _)) => Ok(answer),
            Either::Left((Ok(_), _)) => Err(StreamingError::from(unexpected())),
            Either::Left((Err(error), _)) => Err(StreamingError::from(error)),
            Either::Right((closed, _)) => Err(StreamingError::Closed(closed)),
        }
    }
}
