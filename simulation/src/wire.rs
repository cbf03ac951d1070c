//! Messages between hosts over simulated TCP: a length, and a value in the daemon's format.
//!
//! Simulated TCP does not retransmit, so after a lost message the connection stays silent. The caller waits for a bounded
//! time and then drops the connection.

use std::io;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use disco_consensus::codec;
use disco_consensus::types::Request as ByteString;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use turmoil::net::TcpStream;

use crate::doors::{Caller, Passage};
use crate::types::{SnapshotMeta, TypeConfig, Vote};

/// The port of every node.
pub const PORT: u16 = 7000;
/// No message of a simulation is longer.
const MAX_BYTES: u32 = 64 * 1024 * 1024;
/// Before each message.
const LENGTH_BYTES: usize = size_of::<u32>();

/// A request to a node. Byte strings are in the daemon's format.
#[derive(Serialize, Deserialize)]
pub enum Ask {
    /// A message of Raft, only for the intended node: the address may belong to another one by now.
    Raft { to: u64, ask: RaftAsk },
    /// Raft's entries: messages follow, and nothing else comes over this connection. Each gets an [`Answer`].
    Entries { to: u64 },
    /// Propose a command. `hops` counts how often it was forwarded.
    Propose { command: ByteString, hops: u32 },
    /// Read a key, linearizable or stale.
    Read { key: ByteString, stale: bool },
    /// How far the log is committed. Only for the intended node, which answers only as the leader.
    ReadIndex { to: u64 },
    /// A node's report to the leader.
    Report { node: u64, address: String, life: u64 },
    /// Which of these nodes the node can reach. Only for the intended node.
    Reach { to: u64, nodes: Vec<u64> },
}

/// Messages of Raft.
#[derive(Serialize, Deserialize)]
pub enum RaftAsk {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    Transfer(TransferLeaderRequest<TypeConfig>),
    Snapshot { vote: Vote, meta: SnapshotMeta, bytes: ByteString },
}

/// Raft's answers.
#[derive(Serialize, Deserialize)]
pub enum RaftAnswer {
    Append(AppendEntriesResponse<TypeConfig>),
    Vote(VoteResponse<TypeConfig>),
    Transfer(TransferLeaderResponse<TypeConfig>),
    Snapshot(SnapshotResponse<TypeConfig>),
}

/// A node's answer.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    Raft(RaftAnswer),
    /// The store's answer to a command, encoded.
    Proposed(ByteString),
    Read {
        value: Option<ByteString>,
        revision: i64,
        node: u64,
        life: u64,
    },
    Heard,
    /// How far the log is committed.
    Index(u64),
    /// The nodes that it can reach.
    Reached(Vec<u64>),
    /// Not done here, or outcome unknown.
    Unavailable(String),
}

/// A connection that is opened on demand.
pub struct Line {
    address: String,
    stream: Option<TcpStream>,
    passage: Passage,
}

// === impl Line ===

impl Line {
    /// To `HOST:PORT`.
    pub fn new(from: Caller, address: &str) -> Self {
        Self { address: address.to_owned(), stream: None, passage: Passage::new(from, address) }
    }

    /// Another connection to the same target, not open yet.
    pub fn passage(&self) -> Passage {
        let mut passage = self.passage.clone();
        passage.closed();
        passage
    }

    /// The target.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and waits for the answer, for at most the limit.
    pub async fn ask(&mut self, ask: &Ask, limit: Duration) -> io::Result<Answer> {
        let answer = tokio::time::timeout(limit, self.try_ask(ask)).await;
        let answer = answer.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")));
        if answer.is_err() {
            // A late answer must not count for the next request.
            self.stream = None;
            self.passage.closed();
        }
        answer
    }

    async fn try_ask(&mut self, ask: &Ask) -> io::Result<Answer> {
        self.passage.pass().await;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = none.insert(TcpStream::connect(self.address.as_str()).await?);
                self.passage.opened();
                stream
            }
        };
        send(stream, ask).await?;
        let answer = receive(stream).await;
        self.passage.pass().await;
        answer
    }
}

/// Writes one message.
pub async fn send<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    stream.write_all(&frame(message)?).await
}

/// Reads one message. Not cancel-safe: it may have read a part.
pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    Frames::new(stream).next().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// A message as it is sent.
pub fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let bytes = codec::encode(message)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(bytes);
    Ok(framed)
}

/// The messages of a connection.
pub struct Frames<S> {
    stream: S,
    read: BytesMut,
}

impl<S: AsyncRead + Unpin> Frames<S> {
    /// From here on.
    pub fn new(stream: S) -> Self {
        Self { stream, read: BytesMut::new() }
    }

    /// The next one; `None` at the end. Nothing is lost when the future is dropped.
    pub async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            let missing = match self.read.first_chunk::<LENGTH_BYTES>() {
                None => LENGTH_BYTES - self.read.len(),
                Some(length) => {
                    let length = u32::from_be_bytes(*length);
                    if length > MAX_BYTES {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
                    }
                    let whole = LENGTH_BYTES + length as usize;
                    if self.read.len() == whole {
                        let message = self.read.split_to(whole);
                        return codec::decode(&message[LENGTH_BYTES..]).map(Some);
                    }
                    whole - self.read.len()
                }
            };
            // No byte of the next message, which other code may read.
            let mut rest = (&mut self.read).limit(missing);
            if self.stream.read_buf(&mut rest).await? == 0 {
                return if self.read.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = codec::decode::<Ask>(&bytes);
            let _ = codec::decode::<Answer>(&bytes);
        }
    }

    /// A claimed length is not trusted: an array of four thousand million elements, a byte string as long.
    #[test]
    fn claimed_lengths_take_no_memory() {
        for head in [0xdd_u8, 0xdf, 0xc6, 0xdb] {
            let mut bytes = vec![head, 0xff, 0xff, 0xff, 0xff];
            bytes.extend([0; 16]);
            let _ = codec::decode::<Ask>(&bytes);
            let _ = codec::decode::<Answer>(&bytes);
        }
    }
}
