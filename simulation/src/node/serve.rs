//! Answers requests of other hosts.

use disco_consensus::types::Request as ByteString;
use openraft::Snapshot as OpenraftSnapshot;
use openraft::async_runtime::AsyncRuntime;
use turmoil::net::{TcpListener, TcpStream};

use super::Process;
use super::process::Reported;
use crate::entries;
use crate::storage::Snapshot;
use crate::types::Runtime;
use crate::wire::{self, Answer, Ask, RaftAnswer, RaftAsk};

/// Accepts connections as long as the process lives.
pub(super) async fn listen(process: Process, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        Runtime::spawn(converse(process.clone(), stream));
    }
}

/// Answers one request after the other, until the other side is gone.
async fn converse(process: Process, mut stream: TcpStream) {
    while let Ok(ask) = wire::receive::<Ask>(&mut stream).await {
        if let Ask::Entries { to } = ask {
            return entries::take(&process, to, stream).await;
        }
        let answer = process.answer(ask).await.unwrap_or_else(Answer::Unavailable);
        if wire::send(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}

impl Process {
    async fn answer(&self, ask: Ask) -> Result<Answer, String> {
        match ask {
            Ask::Raft { to, .. } if to != self.id => Err(format!("this is node {}, the message is for {to}", self.id)),
            Ask::Entries { .. } => Err("entries have a connection of their own".to_owned()),
            Ask::Raft { ask, .. } => self.answer_raft(ask).await.map(Answer::Raft),
            Ask::Propose { command, hops } => {
                self.propose(command.0, hops).await.map(|answer| Answer::Proposed(ByteString(answer)))
            }
            Ask::Read { key, stale } => self.read(key.0, stale).await,
            Ask::ReadIndex { to } if to != self.id => {
                Err(format!("this is node {}, the read index is asked of {to}", self.id))
            }
            Ask::ReadIndex { .. } => self.read_index().await.map(Answer::Index),
            Ask::Reach { to, .. } if to != self.id => {
                Err(format!("this is node {}, the question is for {to}", self.id))
            }
            Ask::Reach { nodes, .. } => Ok(Answer::Reached(self.reached(nodes).await)),
            Ask::Report { node, address, life } => {
                let at = tokio::time::Instant::now();
                self.reports.lock().insert(node, Reported { at, address, life });
                Ok(Answer::Heard)
            }
        }
    }

    async fn answer_raft(&self, ask: RaftAsk) -> Result<RaftAnswer, String> {
        let raft = self.raft.raft();
        match ask {
            RaftAsk::Append(rpc) => {
                self.raft.heard(rpc.vote.leader_id.node_id);
                raft.append_entries(rpc).await.map(RaftAnswer::Append).map_err(|error| error.to_string())
            }
            RaftAsk::Vote(rpc) => raft.vote(rpc).await.map(RaftAnswer::Vote).map_err(|error| error.to_string()),
            RaftAsk::PreVote(rpc) => raft.pre_vote(rpc).await.map(RaftAnswer::Vote).map_err(|error| error.to_string()),
            RaftAsk::Transfer(rpc) => {
                raft.handle_transfer_leader(rpc).await.map(RaftAnswer::Transfer).map_err(|error| error.to_string())
            }
            RaftAsk::Snapshot { vote, meta, bytes } => {
                let received = Snapshot::received(meta.clone(), bytes.0.to_vec().into());
                let snapshot = OpenraftSnapshot { meta, snapshot: received };
                raft.install_full_snapshot(vote, snapshot)
                    .await
                    .map(RaftAnswer::Snapshot)
                    .map_err(|error| error.to_string())
            }
        }
    }
}
