//! The stream of entries as a gRPC request.

use std::time::Duration;

use disco_consensus::append_stream::{Call, Link, WINDOW, broken};
use disco_consensus::codec;
use disco_consensus::types::TypeConfig;
use disco_proto::v1::RaftMessage;
use openraft::error::{NetworkError, RPCError};
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::network::{Connection, Rpc, Target, append_limit};

/// A request of [`RaftClient::append_stream`](disco_proto::v1::raft_client::RaftClient::append_stream).
pub struct StreamCall {
    /// For messages and errors.
    target: Target,
    /// The address at which the follower was called.
    address: String,
    /// `None` once no more messages follow.
    messages: Option<mpsc::Sender<RaftMessage>>,
    answers: Streaming<RaftMessage>,
}

// === impl Connection ===

impl Link<TypeConfig> for Connection {
    type Call = StreamCall;

    fn takes_streams(&self) -> bool {
        self.streams
    }

    fn limit(&self, message: &AppendEntriesRequest<TypeConfig>, option: &RPCOption) -> Duration {
        append_limit(message, option)
    }

    fn late(&self, limit: Duration) -> Rpc {
        self.target.timeout(RPCTypes::AppendEntries, limit)
    }

    /// The first message is sent with the request itself, so that both take one round trip.
    async fn open(
        &mut self,
        first: &AppendEntriesRequest<TypeConfig>,
        limit: Duration,
    ) -> Result<Option<StreamCall>, Rpc> {
        self.end_beats();
        let (target, address) = (self.target.clone(), self.target.current_address());
        let (messages, receiver) = mpsc::channel(WINDOW);
        messages.try_send(target.message(first)?).map_err(|_| broken("a new channel is full"))?;
        let mut client = target.client();
        let call = client.append_stream(ReceiverStream::new(receiver));
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(answers)) => {
                Ok(Some(StreamCall { target, address, messages: Some(messages), answers: answers.into_inner() }))
            }
            Ok(Err(status)) if status.code() == Code::Unimplemented => {
                self.streams = false;
                Ok(None)
            }
            Ok(Err(status)) => Err(target.failed(&status)),
            Err(_) => Err(self.late(limit)),
        }
    }
}

// === impl StreamCall ===

impl StreamCall {
    /// Whether the follower is still called at the same address.
    pub(super) fn is_current(&self) -> bool {
        self.address == self.target.current_address()
    }
}

impl Call<TypeConfig> for StreamCall {
    fn send(&mut self, message: &AppendEntriesRequest<TypeConfig>) -> Result<(), Rpc> {
        let message = self.target.message(message)?;
        match self.messages.as_ref().map(|messages| messages.try_send(message)) {
            Some(Err(mpsc::error::TrySendError::Full(_))) => Err(broken("more messages than the window allows")),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) {
        self.messages = None;
    }

    async fn answer(&mut self) -> Result<Option<AppendEntriesResponse<TypeConfig>>, Rpc> {
        let message = self.answers.message().await.map_err(|status| self.target.failed(&status))?;
        let answer = message.map(|message| codec::decode(&message.payload)).transpose();
        answer.map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }
}
