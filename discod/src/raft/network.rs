//! openraft's messages to other nodes, over gRPC.
//!
//! Every method honours its time limit, distinguishes an unreachable node from a slow one (so that openraft backs off),
//! and relies on no default of the trait: the default `pre_vote` grants and the default `transfer_leader` does nothing.

use std::future::Future;
use std::time::Duration;

use disco_consensus::append_stream::{self, Answers, Call, Link, ROUND_TRIPS};
use disco_consensus::types::{NodeInfo, Snapshot, SnapshotMeta, TypeConfig, Vote};
use disco_consensus::{SnapshotFile, Transport, codec};
use disco_identity::{ChannelOptions, Expect};
use disco_planner::twins::{Life, Start};
use disco_proto::v1::raft_client::RaftClient;
use disco_proto::v1::{RaftMessage, SnapshotPart, snapshot_part};
use futures_util::Stream;
use futures_util::future::{Either, select};
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::impls::TokioRuntime;
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::append_link::StreamCall;
use super::message::{life_of, message};
use crate::peers::{Lane, Peers};

/// Largest message that nodes accept from each other: a batch of entries, each of which is bounded.
pub(crate) const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Size of one part of a snapshot, and the number of parts that may be queued.
const PART_BYTES: usize = 64 * 1024;
const PARTS_UNDER_WAY: usize = 4;
/// The slowest link that a cluster supports (2 Mbit/s): additional time for entries beyond [`ROUND_TRIPS`].
const SLOWEST_BYTES_PER_MS: u64 = 256;

pub(super) type Rpc = RPCError<TypeConfig>;

/// Creates the connections of one node to its peers.
#[derive(Clone)]
pub struct Network {
    pub(super) peers: Peers,
    pub(super) node_id: u64,
    pub(super) start: Start,
}

/// The connection to one peer.
pub struct Connection {
    pub(super) target: Target,
    /// Until the peer reports that it does not support streams of entries.
    pub(super) streams: bool,
    /// The open request for heartbeats. Absent while one is under way, so that one that is abandoned closes it: its answer
    /// would be taken for that of the next.
    beats: Option<StreamCall>,
}

/// Sends messages to one peer.
#[derive(Clone)]
pub struct Target {
    from: u64,
    start: Start,
    to: u64,
    /// The peer's address when the connection was created: openraft keeps one for as long as the node is a member.
    address: String,
    lane: Lane,
    peers: Peers,
}

/// The content of the first part of a snapshot.
#[derive(Serialize, serde::Deserialize)]
pub(super) struct SnapshotHead {
    pub(super) vote: Vote,
    pub(super) meta: SnapshotMeta,
}

// === impl Network ===

impl Network {
    fn connect(&self, target: u64, node: &NodeInfo, lane: Lane) -> Connection {
        let (address, peers) = (node.address.clone(), self.peers.clone());
        let target = Target { from: self.node_id, start: self.start.clone(), to: target, address, lane, peers };
        Connection { target, streams: true, beats: None }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &NodeInfo) -> Connection {
        self.connect(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &NodeInfo) -> Connection {
        self.connect(target, node, Lane::Bulk)
    }
}

impl Transport<TokioRuntime> for Network {
    fn set_address(&self, node: u64, address: &str) {
        self.peers.set_address(node, address);
    }

    fn resolve(&self, node: u64, recorded: &str) -> String {
        self.peers.resolve(node, recorded)
    }

    async fn read_index(&self, leader: u64, address: &str) -> Result<u64, String> {
        let message = message(self.node_id, &self.start, leader, &()).map_err(|error| error.to_string())?;
        let mut client = RaftClient::new(self.peers.channel(leader, address, Lane::Control));
        let answer = client.read_index(message).await.map_err(|status| disco_identity::describe(&status))?;
        codec::decode(&answer.into_inner().payload).map_err(|error| error.to_string())
    }

    async fn identify(&self, node: u64, address: &str, limit: Duration) -> Option<Life> {
        let options = ChannelOptions { connect_timeout: limit, ..ChannelOptions::default() };
        let channel = disco_identity::channel(address, self.peers.identity(), Expect::Node(node), &options);
        let ask = RaftMessage { from: self.node_id, to: node, ..RaftMessage::default() };
        let answer = tokio::time::timeout(limit, RaftClient::new(channel).identify(ask)).await.ok()?;
        match answer {
            Ok(answer) => Some(life_of(answer.get_ref())),
            // A program that does not support the request is alive all the same.
            Err(status) if status.code() == Code::Unimplemented => Some(Life::default()),
            Err(_) => None,
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Sends a message without entries through the open request, or opens one. `None` if the peer does not support them.
    async fn beat(
        &mut self,
        rpc: &AppendEntriesRequest<TypeConfig>,
        limit: Duration,
    ) -> Result<Option<AppendEntriesResponse<TypeConfig>>, Rpc> {
        let deadline = tokio::time::Instant::now() + limit;
        let kept = self.beats.take().filter(|call| call.is_current());
        let mut call = match kept {
            Some(mut call) => {
                call.send(rpc)?;
                call
            }
            None => {
                let opened = self.open(rpc, limit).await;
                if matches!(opened, Err(RPCError::Timeout(_))) {
                    // Counted as a late answer is: the connection may be dead.
                    self.target.peers.unanswered(self.target.to);
                }
                match opened? {
                    Some(call) => call,
                    None => return Ok(None),
                }
            }
        };
        let answer = tokio::time::timeout_at(deadline, call.answer()).await;
        let answer = answer.map_err(|_| self.target.timed_out(RPCTypes::AppendEntries, limit))??;
        let answer = answer.ok_or_else(|| append_stream::broken("it ended before a heartbeat was answered"))?;
        self.target.peers.reached(self.target.to);
        // A refusal is the last answer.
        self.beats = matches!(answer, AppendEntriesResponse::Success).then_some(call);
        Ok(Some(answer))
    }

    /// An open request carries entries from now on, and heartbeats have a connection of their own.
    pub(super) fn end_beats(&mut self) {
        self.beats = None;
    }
}

// === impl Target ===

impl Target {
    /// The address at which the peer is called now.
    pub(super) fn current_address(&self) -> String {
        self.peers.current_address(self.to, &self.address)
    }

    pub(super) fn client(&self) -> RaftClient<Channel> {
        RaftClient::new(self.peers.current(self.to, &self.address, self.lane))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(super) fn message<T: Serialize>(&self, value: &T) -> Result<RaftMessage, Rpc> {
        let message = message(self.from, &self.start, self.to, value);
        message.map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }

    /// Sends one message and waits for its answer within the limit.
    async fn call<Q, A, F, Fut>(&self, kind: RPCTypes, option: &RPCOption, request: &Q, send: F) -> Result<A, Rpc>
    where
        Q: Serialize,
        A: DeserializeOwned,
        F: FnOnce(RaftClient<Channel>, RaftMessage) -> Fut,
        Fut: Future<Output = Result<tonic::Response<RaftMessage>, Status>>,
    {
        self.ask_within(option.soft_ttl(), kind, request, send).await
    }

    async fn ask_within<Q, A, F, Fut>(&self, limit: Duration, kind: RPCTypes, request: &Q, send: F) -> Result<A, Rpc>
    where
        Q: Serialize,
        A: DeserializeOwned,
        F: FnOnce(RaftClient<Channel>, RaftMessage) -> Fut,
        Fut: Future<Output = Result<tonic::Response<RaftMessage>, Status>>,
    {
        let message = self.message(request)?;
        let answer = tokio::time::timeout(limit, send(self.client(), message)).await;
        let answer = answer.map_err(|_| self.timed_out(kind, limit))?.map_err(|status| self.failed(&status))?;
        self.peers.reached(self.to);
        codec::decode(&answer.into_inner().payload).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }

    fn timed_out(&self, action: RPCTypes, limit: Duration) -> Rpc {
        self.peers.unanswered(self.to);
        self.timeout(action, limit)
    }

    pub(super) fn timeout(&self, action: RPCTypes, timeout: Duration) -> Rpc {
        RPCError::Timeout(Timeout { action, id: self.from, target: self.to, timeout })
    }

    pub(super) fn failed(&self, status: &Status) -> Rpc {
        let error = disco_identity::describe(status);
        if status.code() == Code::Unavailable {
            // For a wrong certificate or clock, the reason found by the side that checked it is more precise.
            self.peers.not_reached(self.to, &disco_identity::refusal(status).unwrap_or_else(|| error.clone()));
        }
        let error = AnyError::error(format!("node {}: {error}", self.to));
        match status.code() {
            // Nobody is there, or not the one who is meant, or it has no room: back off.
            Code::Unavailable
            | Code::Unauthenticated
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::ResourceExhausted => RPCError::Unreachable(Unreachable::new(&error)),
            _ => RPCError::Network(NetworkError::new(&error)),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Connection {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Rpc> {
        let limit = append_limit(&rpc, &option);
        if rpc.entries.is_empty()
            && self.streams
            && let Some(answer) = self.beat(&rpc, limit).await?
        {
            return Ok(answer);
        }
        let send = |mut client: RaftClient<Channel>, message| async move { client.append_entries(message).await };
        self.target.ask_within(limit, RPCTypes::AppendEntries, &rpc, send).await
    }

    fn stream_append<'s, S>(&'s mut self, input: S, option: RPCOption) -> Answers<'s, TypeConfig>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        append_stream::stream(self, input, option)
    }

    async fn vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> Result<VoteResponse<TypeConfig>, Rpc> {
        self.target
            .call(RPCTypes::Vote, &option, &rpc, |mut client, message| async move { client.vote(message).await })
            .await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Rpc> {
        self.target
            .call(RPCTypes::Vote, &option, &rpc, |mut client, message| async move { client.pre_vote(message).await })
            .await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Rpc> {
        self.target
            .call(RPCTypes::TransferLeader, &option, &request, |mut client, message| async move {
                client.transfer_leader(message).await
            })
            .await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let head = self.target.message(&SnapshotHead { vote, meta: snapshot.meta })?;
        let limit = option.soft_ttl();
        let mut client = self.target.client();
        let (sender, parts) = tokio::sync::mpsc::channel(PARTS_UNDER_WAY);
        // The limit applies to each step, not to the whole: a large snapshot over a slow link continues as long as it
        // progresses.
        let read = async move {
            let file = tokio::fs::File::open(&snapshot.snapshot.path).await;
            let mut file = file.map_err(|error| Status::internal(error.to_string()))?;
            let head = SnapshotPart { part: Some(snapshot_part::Part::Head(head)) };
            send_within(&sender, head, limit).await?;
            loop {
                let mut data = vec![0; PART_BYTES];
                let count = file.read(&mut data).await.map_err(|error| Status::internal(error.to_string()))?;
                if count == 0 {
                    return Ok(());
                }
                data.truncate(count);
                let part = SnapshotPart { part: Some(snapshot_part::Part::Data(data.into())) };
                send_within(&sender, part, limit).await?;
            }
        };
        let call = async {
            let answer = client.install_snapshot(ReceiverStream::new(parts));
            let (sent, answer) = tokio::join!(read, answer);
            // The receiver's own error is more precise than the broken stream.
            let answer = answer?;
            sent.map(|()| answer)
        };
        let answer = match select(std::pin::pin!(call), std::pin::pin!(cancel)).await {
            Either::Left((answer, _)) => answer.map_err(|status| StreamingError::from(self.target.failed(&status)))?,
            Either::Right((closed, _)) => return Err(StreamingError::Closed(closed)),
        };
        codec::decode(&answer.into_inner().payload)
            .map_err(|error| StreamingError::from(RPCError::Network(NetworkError::new(&error))))
    }
}

/// Time limit for the answer to entries. openraft's own limit is one heartbeat, which suits heartbeats; but a megabyte
/// may take longer on a slow link, and would then be resent again and again and never arrive. Heartbeats have their own
/// worker, so nothing waits for this to detect that a node is gone.
pub(super) fn append_limit(rpc: &AppendEntriesRequest<TypeConfig>, option: &RPCOption) -> Duration {
    if rpc.entries.is_empty() {
        return option.soft_ttl();
    }
    let bytes: usize = rpc.entries.iter().map(disco_consensus::payload_bytes).sum();
    option.soft_ttl() * ROUND_TRIPS + Duration::from_millis(bytes as u64 / SLOWEST_BYTES_PER_MS)
}

async fn send_within(
    sender: &tokio::sync::mpsc::Sender<SnapshotPart>,
    part: SnapshotPart,
    limit: Duration,
) -> Result<(), Status> {
    match tokio::time::timeout(limit, sender.send(part)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Status::unavailable("the receiver of the snapshot has disconnected")),
        Err(_) => Err(Status::deadline_exceeded("the receiver of the snapshot has stopped reading")),
    }
}
