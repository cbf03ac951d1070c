//! The stream of entries to a follower, over its own connection: the daemon's code, except for the transport.

use std::io;
use std::time::Duration;

use disco_consensus::append_stream::{Call, Link, ROUND_TRIPS, WINDOW, broken};
use futures_util::StreamExt;
use openraft::async_runtime::AsyncRuntime;
use openraft::error::{NetworkError, RPCError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::doors::Passage;
use crate::network::{Connection, Rpc, answered};
use crate::node::Process;
use crate::types::{Runtime, TypeConfig};
use crate::wire::{self, Answer, Ask, Frames, RaftAnswer};

/// A connection only for entries.
pub struct EntriesCall {
    /// `None` at the end.
    messages: Option<mpsc::Sender<Vec<u8>>>,
    answers: Frames<OwnedReadHalf>,
    passage: Passage,
}

// === impl Connection ===

impl Link<TypeConfig> for Connection {
    type Call = EntriesCall;

    fn takes_streams(&self) -> bool {
        true
    }

    /// The daemon's time allowance for the bytes is not needed here.
    fn limit(&self, message: &AppendEntriesRequest<TypeConfig>, option: &RPCOption) -> Duration {
        if message.entries.is_empty() { option.soft_ttl() } else { option.soft_ttl() * ROUND_TRIPS }
    }

    fn late(&self, timeout: Duration) -> Rpc {
        RPCError::Timeout(Timeout { action: RPCTypes::AppendEntries, id: self.from(), target: self.to(), timeout })
    }

    async fn open(
        &mut self,
        first: &AppendEntriesRequest<TypeConfig>,
        limit: Duration,
    ) -> Result<Option<EntriesCall>, Rpc> {
        let mut passage = self.passage();
        let connect = async {
            passage.pass().await;
            TcpStream::connect(self.address()).await
        };
        let connected = tokio::time::timeout(limit, connect).await;
        let stream = connected
            .map_err(|_| self.late(limit))?
            .map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))?;
        passage.opened();
        let (read, write) = stream.into_split();
        let (messages, frames) = mpsc::channel(WINDOW + 1);
        Runtime::spawn(write_all(frames, write, passage.clone()));
        let mut call = EntriesCall { messages: Some(messages), answers: Frames::new(read), passage };
        call.write(&Ask::Entries { to: self.to() })?;
        call.send(first)?;
        Ok(Some(call))
    }
}

/// Runs until the end, or until the other side is gone, which the answers show.
async fn write_all(mut frames: mpsc::Receiver<Vec<u8>>, mut write: OwnedWriteHalf, passage: Passage) {
    while let Some(frame) = frames.recv().await {
        passage.pass().await;
        if write.write_all(&frame).await.is_err() {
            return;
        }
    }
    let _ = write.shutdown().await;
}

// === impl EntriesCall ===

impl EntriesCall {
    fn write<T: serde::Serialize>(&self, message: &T) -> Result<(), Rpc> {
        let frame = wire::frame(message).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        match self.messages.as_ref().map(|messages| messages.try_send(frame)) {
            Some(Err(mpsc::error::TrySendError::Full(_))) => Err(broken("more messages than there is room for")),
            _ => Ok(()),
        }
    }
}

impl Call<TypeConfig> for EntriesCall {
    fn send(&mut self, message: &AppendEntriesRequest<TypeConfig>) -> Result<(), Rpc> {
        self.write(message)
    }

    fn finish(&mut self) {
        self.messages = None;
    }

    async fn answer(&mut self) -> Result<Option<AppendEntriesResponse<TypeConfig>>, Rpc> {
        self.passage.pass().await;
        let Some(answer) = self.answers.next::<Answer>().await.transpose() else { return Ok(None) };
        answered(answer)?.append().map(Some)
    }
}

/// The follower's side: receives entries until the leader's side is gone, and answers each message.
pub async fn take(process: &Process, to: u64, stream: TcpStream) {
    let (read, mut write) = stream.into_split();
    if to != process.id {
        let _ = wire::send(
            &mut write,
            &Answer::Unavailable(format!("this is node {}, the entries are for {to}", process.id)),
        )
        .await;
        return;
    }
    let heard = (Frames::new(read), process.raft.clone());
    let messages = futures_util::stream::unfold(heard, |(mut frames, raft)| async move {
        let message: io::Result<Option<AppendEntriesRequest<TypeConfig>>> = frames.next().await;
        let message = message.ok().flatten()?;
        raft.heard(message.vote.leader_id.node_id);
        Some((message, (frames, raft)))
    });
    let mut answers = std::pin::pin!(process.raft.raft().stream_append(messages));
    while let Some(answer) = answers.next().await {
        let answer = match answer {
            Ok(answer) => Answer::Raft(RaftAnswer::Append(answer.into())),
            Err(error) => Answer::Unavailable(error.to_string()),
        };
        if wire::send(&mut write, &answer).await.is_err() {
            return;
        }
    }
}
