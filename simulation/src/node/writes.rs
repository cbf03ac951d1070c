//! Writes and reads: on this node if it leads, else on the leader.

use std::time::Duration;

use bytes::Bytes;
use disco_consensus::types::Request;
use disco_proto::v1::{Command, CommandResponse, command::Operation};
use prost::Message;
use rand::Rng;

use super::Process;
use crate::bug::Bug;
use crate::wire::{Answer, Ask};

/// Pause between two attempts, as in the daemon.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

impl Process {
    /// Writes a command that is only valid as long as this node leads in this term.
    pub(super) async fn write_in_term(&self, term: u64, operation: Operation) -> Result<CommandResponse, String> {
        let request_id: [u8; 16] = self.rng.lock().random();
        let command = Command {
            request_id: Bytes::copy_from_slice(&request_id),
            only_in_term: term,
            proposed_at_ms: 0,
            operation: Some(operation),
            ..Command::default()
        };
        let bytes = Bytes::from(command.encode_to_vec());
        let deadline = tokio::time::Instant::now() + self.host.pace.request_timeout();
        loop {
            // Not forwarded: the next leader may lead in the same term.
            let leads = self.leadership().own_term == Some(term);
            if !leads && self.host.bug != Some(Bug::ForwardInTerm) {
                return Err("this node does not lead in that term any more".to_owned());
            }
            let proposed = match self.host.bug {
                Some(Bug::ForwardInTerm) => self.propose(bytes.clone(), 0).await,
                _ => self.propose_here(bytes.clone()).await,
            };
            match proposed {
                Ok(response) => return CommandResponse::decode(response).map_err(|error| error.to_string()),
                Err(error) if tokio::time::Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }

    /// Proposes an encoded command and returns the store's answer. After an error the outcome is unknown.
    pub(super) async fn propose(&self, command: Bytes, hops: u32) -> Result<Bytes, String> {
        let leadership = self.leadership();
        if leadership.own_term.is_some() {
            return self.propose_here(command).await;
        }
        match self.forward(leadership.leader, Ask::Propose { command: Request(command), hops: hops + 1 }, hops).await? {
            Answer::Proposed(response) => Ok(response.0),
            Answer::Unavailable(why) => Err(why),
            _ => Err("an answer to another question".to_owned()),
        }
    }

    async fn propose_here(&self, command: Bytes) -> Result<Bytes, String> {
        let command = Command::decode(command).map_err(|error| error.to_string())?;
        let response = self.raft.propose(&command).await.map_err(|error| error.to_string())?;
        Ok(response.encode_to_vec().into())
    }

    /// The value of a key. Unless `stale`, it reflects everything that was acknowledged before the call.
    pub(super) async fn read(&self, key: Bytes, stale: bool) -> Result<Answer, String> {
        if !stale && !self.trusts_itself() {
            let limit = self.host.pace.request_timeout();
            self.raft.read_barrier(limit).await.map_err(|error| error.to_string())?;
        }
        let range = disco_proto::v1::RangeRequest { key, ..Default::default() };
        let answer = self.raft.store().read(|store| store.range(&range)).map_err(|error| format!("{error:?}"))?;
        let value = answer.kvs.first().map(|pair| Request(pair.value.clone()));
        Ok(Answer::Read { value, revision: answer.revision, node: self.id, life: self.life })
    }

    /// How far the log is committed, as the leader alone knows.
    pub(super) async fn read_index(&self) -> Result<u64, String> {
        if self.trusts_itself() {
            return Ok(self.raft.applied_index());
        }
        self.raft.read_index().as_leader().await.map_err(|error| error.to_string())
    }

    /// Whether this node leads, as far as it knows, and does not ask whether others follow it: the bug.
    fn trusts_itself(&self) -> bool {
        self.host.bug == Some(Bug::ReadWithoutQuorum) && self.leadership().own_term.is_some()
    }

    async fn forward(&self, leader: Option<u64>, ask: Ask, hops: u32) -> Result<Answer, String> {
        if hops >= 2 {
            return Err("forwarded twice".to_owned());
        }
        let leader = leader.filter(|leader| *leader != self.id).ok_or("no leader is known")?;
        let address = self.address_of(leader).ok_or("the leader's address is not known")?;
        let answer = self.line(&address).ask(&ask, self.host.pace.request_timeout()).await;
        answer.map_err(|error| error.to_string())
    }
}
