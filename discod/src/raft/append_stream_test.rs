//! The stream of entries with a scripted follower, over a real connection.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use disco_consensus::append_stream::WINDOW;
use disco_consensus::codec;
use disco_consensus::types::{LogId, NodeInfo, TypeConfig};
use disco_identity::{Authority, ChannelOptions, ClusterId, Credentials, Identity, ListenLimits, PrivateKey, Validity};
use disco_planner::twins::Start;
use disco_proto::v1::raft_server::{Raft, RaftServer};
use disco_proto::v1::{RaftMessage, SnapshotPart};
use futures_util::{FutureExt, StreamExt};
use openraft::error::RPCError;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};
use openraft::testing::{blank_ent, log_id};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::network::{Connection, Network};
use crate::peers::Peers;

const LEADER: u64 = 1;
const FOLLOWER: u64 = 2;
const HOUR: Duration = Duration::from_secs(3600);
/// Wait before concluding that something does not happen.
const A_WHILE: Duration = Duration::from_millis(100);

type Append = AppendEntriesRequest<TypeConfig>;
type AppendAnswer = AppendEntriesResponse<TypeConfig>;
type Scripted = Result<AppendAnswer, Status>;

/// Streams that a follower accepts.
const STREAMS: usize = 4;

/// Records what it receives, and sends scripted answers.
struct Follower {
    streams: bool,
    got: mpsc::UnboundedSender<Append>,
    /// For the streams that are not opened yet, in order.
    scripted: Mutex<VecDeque<mpsc::Receiver<Scripted>>>,
    /// How many streams were opened.
    opened: watch::Sender<usize>,
}

fn answer(scripted: Scripted) -> Result<RaftMessage, Status> {
    let payload = codec::encode(&scripted?).unwrap().into();
    Ok(RaftMessage { from: FOLLOWER, to: LEADER, payload, ..RaftMessage::default() })
}

#[tonic::async_trait]
impl Raft for Follower {
    type AppendStreamStream = super::service::Answers;

    async fn append_entries(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        self.got.send(codec::decode(&request.into_inner().payload).unwrap()).unwrap();
        answer(Ok(AppendAnswer::Success)).map(Response::new)
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<RaftMessage>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        if !self.streams {
            return Err(Status::unimplemented("not known here"));
        }
        let (got, mut messages) = (self.got.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                got.send(codec::decode(&message.payload).unwrap()).unwrap();
            }
        });
        let scripted = self.scripted.lock().pop_front().expect("a script for each stream");
        self.opened.send_modify(|count| *count += 1);
        Ok(Response::new(Box::pin(ReceiverStream::new(scripted).map(answer))))
    }

    async fn identify(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn vote(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn pre_vote(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn transfer_leader(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn read_index(&self, _: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn install_snapshot(&self, _: Request<Streaming<SnapshotPart>>) -> Result<Response<RaftMessage>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// A follower, and the connection to it.
struct Pair {
    connection: Connection,
    got: mpsc::UnboundedReceiver<Append>,
    /// How many streams were opened.
    opened: watch::Receiver<usize>,
    /// Of the first stream.
    script: Option<mpsc::Sender<Scripted>>,
    /// Of the following ones.
    later: Vec<mpsc::Sender<Scripted>>,
}

impl Pair {
    async fn new(streams: bool) -> Self {
        let root = Authority::new_root(&ClusterId::random(), "test").unwrap();
        let signer = root.new_intermediate().unwrap();
        let identity = |id| {
            let key = PrivateKey::generate().unwrap();
            let request = key.signing_request().unwrap();
            let chain =
                signer.issue_node(&request, id, &[Ipv4Addr::LOCALHOST.into()], Validity::lasting(HOUR)).unwrap();
            Identity::new(Credentials::from_pem(root.certificate_pem(), &chain, &key.to_pem()).unwrap()).unwrap()
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let incoming = disco_identity::incoming(listener, &identity(FOLLOWER), ListenLimits::default());
        let (sender, got) = mpsc::unbounded_channel();
        let (mut scripts, scripted): (VecDeque<_>, VecDeque<_>) = (0..STREAMS).map(|_| mpsc::channel(8)).unzip();
        let (opening, opened) = watch::channel(0);
        let follower = Follower { streams, got: sender, scripted: Mutex::new(scripted), opened: opening };
        tokio::spawn(Server::builder().add_service(RaftServer::new(follower)).serve_with_incoming(incoming));
        let peers = Peers::new(identity(LEADER), ChannelOptions::default());
        let node = NodeInfo { address, name: "follower".to_owned() };
        let mut network = Network { peers, node_id: LEADER, start: Start::default() };
        let connection = network.new_client(FOLLOWER, &node).await;
        Self { connection, got, opened, script: scripts.pop_front(), later: scripts.into() }
    }

    async fn script(&self, scripted: Scripted) {
        self.script.as_ref().unwrap().send(scripted).await.unwrap();
    }

    /// Sends a heartbeat as openraft does, and returns its result.
    async fn beat(&mut self, option: RPCOption) -> Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>> {
        let messages = futures_util::stream::iter([message(3, 3)]);
        let mut answers = self.connection.stream_append(messages, option).await?;
        let answer = answers.next().await.expect("each message has a result");
        assert!(answers.next().await.is_none());
        answer
    }

    fn streams_opened(&self) -> usize {
        *self.opened.borrow()
    }
}

fn id(index: u64) -> LogId {
    log_id::<TypeConfig>(1, LEADER, index)
}

/// Entries after `prev` up to `last`.
fn message(prev: u64, last: u64) -> Append {
    AppendEntriesRequest {
        vote: openraft::Vote::new_committed(1, LEADER),
        prev_log_id: Some(id(prev)),
        entries: (prev + 1..=last).map(|index| blank_ent::<TypeConfig>(1, LEADER, index)).collect(),
        leader_commit: None,
    }
}

fn option() -> RPCOption {
    RPCOption::new(Duration::from_secs(5))
}

/// openraft's messages, as long as the sender lives. Like openraft's stream it must not be polled after its end.
fn requests() -> (mpsc::UnboundedSender<Append>, impl futures_util::Stream<Item = Append> + Unpin + Send + 'static) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let requests =
        futures_util::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    (sender, Box::pin(requests))
}

#[tokio::test]
async fn unanswered_messages_are_bounded() {
    let mut pair = Pair::new(true).await;
    let script = pair.script.take().unwrap();
    let (send, input) = requests();
    let last = WINDOW as u64 + 1;
    (1..=last).for_each(|index| send.send(message(index - 1, index)).unwrap());
    drop(send);
    let mut answers = pair.connection.stream_append(input, option()).await.unwrap();
    for _ in 0..WINDOW {
        tokio::select! { got = pair.got.recv() => got.unwrap(), answer = answers.next() => panic!("{answer:?}") };
    }
    assert!(
        tokio::time::timeout(A_WHILE, async {
            tokio::select! { _ = pair.got.recv() => (), _ = answers.next() => () }
        })
        .await
        .is_err()
    );
    for index in 1..=last {
        script.send(Ok(AppendAnswer::Success)).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap(), Ok(Some(id(index))));
    }
    assert!(pair.got.recv().await.is_some());
    // It has ended although the follower has not ended the request.
    assert!(answers.next().await.is_none());
    drop(script);
}

#[tokio::test]
async fn no_answer_covers_a_later_message() {
    let mut pair = Pair::new(true).await;
    let script = pair.script.take().unwrap();
    let (send, input) = requests();
    // Entries, what is committed meanwhile, and further entries.
    [message(0, 2), message(2, 2), message(2, 3)].into_iter().for_each(|message| send.send(message).unwrap());
    let mut answers = pair.connection.stream_append(input, option()).await.unwrap();
    for _ in 0..3 {
        tokio::select! { got = pair.got.recv() => got.unwrap(), answer = answers.next() => panic!("{answer:?}") };
    }
    script.send(Ok(AppendAnswer::Success)).await.unwrap();
    assert!(tokio::time::timeout(A_WHILE, answers.next()).await.is_err(), "it was sent before the second message");
    script.send(Ok(AppendAnswer::Success)).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap(), Ok(Some(id(2))));
    assert!(answers.next().now_or_never().is_none());
    script.send(Ok(AppendAnswer::Success)).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap(), Ok(Some(id(3))));
}

#[tokio::test]
async fn a_refusal_is_the_last_answer() {
    let mut pair = Pair::new(true).await;
    let script = pair.script.take().unwrap();
    let (send, input) = requests();
    [message(3, 4), message(4, 5)].into_iter().for_each(|message| send.send(message).unwrap());
    let mut answers = pair.connection.stream_append(input, option()).await.unwrap();
    script.send(Ok(AppendAnswer::Conflict)).await.unwrap();
    script.send(Ok(AppendAnswer::Success)).await.unwrap();
    assert!(
        matches!(answers.next().await.unwrap().unwrap(), Err(openraft::raft::StreamAppendError::Conflict(at)) if at == id(3))
    );
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_ends_or_stays_silent_is_an_error() {
    let mut pair = Pair::new(true).await;
    let (_send, input) = requests();
    _send.send(message(0, 1)).unwrap();
    let mut answers = pair.connection.stream_append(input, option()).await.unwrap();
    drop(pair.script.take());
    assert!(matches!(answers.next().await, Some(Err(RPCError::Network(_)))));
    assert!(answers.next().await.is_none());

    let mut pair = Pair::new(true).await;
    let (send, input) = requests();
    send.send(message(0, 1)).unwrap();
    let short = RPCOption::new(Duration::from_millis(10));
    let answer = pair.connection.stream_append(input, short).await.unwrap().next().await;
    assert!(matches!(answer, Some(Err(RPCError::Timeout(_)))), "{answer:?}");

    let mut pair = Pair::new(true).await;
    pair.script(Err(Status::unavailable("it stops"))).await;
    let (send, input) = requests();
    send.send(message(0, 1)).unwrap();
    let answer = pair.connection.stream_append(input, option()).await.unwrap().next().await;
    assert!(matches!(answer, Some(Err(RPCError::Unreachable(_)))), "{answer:?}");
}

#[tokio::test]
async fn a_follower_without_streams_gets_single_messages() {
    let mut pair = Pair::new(false).await;
    let (send, input) = requests();
    [message(0, 1), message(1, 3), message(3, 3)].into_iter().for_each(|message| send.send(message).unwrap());
    drop(send);
    let answers: Vec<_> = pair.connection.stream_append(input, option()).await.unwrap().collect().await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
    assert_eq!(answers, [Some(id(1)), Some(id(3)), Some(id(3))]);
    assert_eq!(pair.got.len(), 3);
    assert!(!pair.connection.streams, "the leader requested a stream each time");
}

#[tokio::test]
async fn heartbeats_share_one_stream() {
    let mut pair = Pair::new(true).await;
    for beats in 1..=3 {
        pair.script(Ok(AppendAnswer::Success)).await;
        assert_eq!(pair.beat(option()).await.unwrap(), Ok(Some(id(3))));
        assert_eq!((pair.got.len(), pair.streams_opened()), (beats, 1));
    }
    // Entries get a stream of their own, and heartbeats of this connection another one after that.
    let (send, input) = requests();
    send.send(message(3, 4)).unwrap();
    drop(send);
    pair.later[0].send(Ok(AppendAnswer::Success)).await.unwrap();
    let answers: Vec<_> = pair.connection.stream_append(input, option()).await.unwrap().collect().await;
    assert_eq!(answers.len(), 1);
    pair.later[1].send(Ok(AppendAnswer::Success)).await.unwrap();
    pair.beat(option()).await.unwrap().unwrap();
    assert_eq!(pair.streams_opened(), 3);
}

#[tokio::test]
async fn a_late_answer_is_not_taken_for_that_of_the_next_heartbeat() {
    let mut pair = Pair::new(true).await;
    pair.script(Ok(AppendAnswer::Success)).await;
    pair.beat(option()).await.unwrap().unwrap();
    let late = pair.beat(RPCOption::new(Duration::from_millis(10))).await;
    assert!(matches!(late, Err(RPCError::Timeout(_))), "{late:?}");
    // Neither of these is the answer to a later heartbeat. The stream may have ended already.
    let _ = pair.script.as_ref().unwrap().send(Ok(AppendAnswer::Success)).await;
    // openraft abandons a heartbeat as well, here once its stream is open.
    let mut opened = pair.opened.clone();
    tokio::select! {
        answer = pair.beat(option()) => panic!("{answer:?}"),
        opened = opened.wait_for(|count| *count == 2) => drop(opened.unwrap()),
    }
    let _ = pair.later[0].send(Ok(AppendAnswer::Success)).await;
    pair.later[1].send(Ok(AppendAnswer::Conflict)).await.unwrap();
    assert!(pair.beat(option()).await.unwrap().is_err(), "the answer to this heartbeat is a refusal");
    pair.later[2].send(Ok(AppendAnswer::Success)).await.unwrap();
    pair.beat(option()).await.unwrap().unwrap();
    assert_eq!(pair.streams_opened(), 4, "each error, and a refusal, ends the stream");
}

#[tokio::test]
async fn a_follower_without_streams_gets_single_heartbeats() {
    let mut pair = Pair::new(false).await;
    for beats in 1..=2 {
        assert_eq!(pair.beat(option()).await.unwrap(), Ok(Some(id(3))));
        assert_eq!((pair.got.len(), pair.streams_opened()), (beats, 0));
    }
    assert!(!pair.connection.streams, "the leader requested a stream each time");
}
