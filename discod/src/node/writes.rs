//! Routing to the leader, and changes of the cluster's state.

use std::time::Duration;

use disco_proto::v1::command::Operation;
use disco_proto::v1::command_response;
use disco_proto::v1::{Command, CommandError, CommandResponse, ProposeRequest};
use thiserror::Error;
use tokio::time::Instant;

use super::{Node, disk_space};
use crate::peers::{MemberClient, RemoteError};
use crate::raft::RaftError;

/// Pause before a write is retried: long enough for an election to progress, short enough not to be noticed.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Why a write failed, or why its outcome is unknown.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The store refused it; nothing was changed.
    #[error("{}", .0.message)]
    Refused(CommandError),
    /// No leader accepted it in time. It may still be applied.
    #[error("the cluster has no leader that accepts writes ({last})")]
    Unavailable {
        /// The error of the last attempt.
        last: String,
    },
    /// An attempt was not answered, and a later one was refused for this reason: the first may have been applied.
    #[error("outcome unknown, read before trying again: {0}")]
    Unknown(String),
    /// The write was applied, but its answer does not fit into a message between two nodes.
    #[error("the write succeeded, but {0}; request less in one transaction, or call the leader")]
    AnswerTooLarge(String),
    /// Disks are full. Nothing was changed.
    #[error("{0}")]
    NoRoom(String),
    /// Raft has stopped on this node.
    #[error("{0}")]
    Stopped(String),
}

/// The location of the leader.
pub enum Route {
    /// This node, in the given term.
    Here(u64),
    /// Another node.
    There {
        /// Its id.
        id: u64,
        /// The connection to it.
        client: MemberClient,
    },
}

/// An attempt of a write that was not answered.
enum Attempt {
    /// It was not applied.
    Retry(String),
    /// It may have been applied, or may still be.
    Unknown(String),
    Final(WriteError),
}

// === impl Node ===

impl Node {
    /// The route to the leader. Waits for an election in progress, within the limit.
    ///
    /// # Errors
    /// No leader is known in time.
    pub async fn route(&self, limit: Duration) -> Result<Route, WriteError> {
        let mut leadership = self.inner.raft.leadership();
        let id = self.id();
        let known = leadership.wait_for(|now| now.is_self || now.leader.is_some_and(|leader| leader != id));
        let now = match tokio::time::timeout(limit, known).await {
            Ok(Ok(now)) => now.clone(),
            Ok(Err(_)) => return Err(WriteError::Stopped("it shuts down".to_owned())),
            Err(_) => return Err(WriteError::Unavailable { last: "no leader is known".to_owned() }),
        };
        match now.leader {
            Some(leader) if leader != id => match self.member_address(leader) {
                Some(address) => Ok(Route::There { id: leader, client: self.inner.peers.member(leader, &address) }),
                None => Err(WriteError::Unavailable { last: format!("the address of the leader {leader} is unknown") }),
            },
            _ => Ok(Route::Here(now.term)),
        }
    }

    /// Notes that the leader has not answered: the next requests may use a new connection.
    pub fn reconnect(&self, leader: u64) {
        self.inner.peers.unanswered(leader);
        self.inner.write_stream.close(leader, "the leader did not answer");
    }

    /// Proposes an operation, here or at the leader, until it is known to be applied or refused.
    ///
    /// A new request id makes sure that retries apply once.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write(&self, operation: Operation) -> Result<CommandResponse, WriteError> {
        self.submit(command(operation, 0), 0).await
    }

    /// Like [`Self::write`], but only while this node leads in the given term.
    pub(crate) async fn write_in(&self, term: u64, operation: Operation) -> Result<CommandResponse, WriteError> {
        self.submit(command(operation, term), 0).await
    }

    /// Proposes a command. A refusal by the store is an error.
    async fn submit(&self, command: Command, hops: u32) -> Result<CommandResponse, WriteError> {
        refused(self.submit_raw(command, hops).await?)
    }

    /// Proposes a command. `hops` is the number of times it was forwarded. A refusal by the store is part of the
    /// answer.
    ///
    /// # Errors
    /// See [`WriteError`], all but `Refused`.
    pub async fn submit_raw(&self, command: Command, hops: u32) -> Result<CommandResponse, WriteError> {
        let deadline = Instant::now() + self.raft().pace().request_timeout() * 2;
        let mut unknown = false;
        loop {
            let last = match self.try_submit(&command, hops).await {
                Ok(response) => return Ok(response),
                Err(Attempt::Final(error)) => return Err(if unknown { possibly_applied(error) } else { error }),
                Err(Attempt::Retry(last)) => last,
                Err(Attempt::Unknown(last)) => {
                    unknown = true;
                    last
                }
            };
            // Without a request id a second attempt could apply twice.
            if Instant::now() >= deadline || command.request_id.is_empty() {
                return Err(if unknown { WriteError::Unknown(last) } else { WriteError::Unavailable { last } });
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_submit(&self, command: &Command, hops: u32) -> Result<CommandResponse, Attempt> {
        let retry = |error: WriteError| match error {
            WriteError::Unavailable { last } => Attempt::Retry(last),
            other => Attempt::Final(other),
        };
        match self.route(self.raft().pace().election_timeout() * 4).await.map_err(retry)? {
            Route::Here(_)
                if disk_space::is_needed_by(command)
                    && let Some(why) = disk_space::refusal(self) =>
            {
                Err(Attempt::Final(WriteError::NoRoom(why)))
            }
            Route::Here(_) => match self.raft().propose(command).await {
                Ok(response) => Ok(response),
                Err(RaftError::Stopped(why)) => Err(Attempt::Final(WriteError::Stopped(why))),
                Err(error @ RaftError::NotLeader { .. }) => Err(Attempt::Retry(error.to_string())),
                Err(error) => Err(Attempt::Unknown(error.to_string())),
            },
            // Not forwarded: openraft allows several leaders in one term, one after the other, so the term alone would
            // not show the next leader that the proposer was deposed.
            Route::There { id, .. } if command.only_in_term != 0 => Err(Attempt::Final(WriteError::Unavailable {
                last: format!("this node no longer leads in term {}; node {id} leads", command.only_in_term),
            })),
            Route::There { id, .. } if hops >= 2 => Err(Attempt::Final(WriteError::Unavailable {
                last: format!("forwarded twice; node {id} is now reported as the leader"),
            })),
            Route::There { id, client } => {
                let request =
                    ProposeRequest { command: Some(command.clone()), hops: hops + 1, ..ProposeRequest::default() };
                let answer = self.inner.write_stream.propose(id, client, request);
                let mut leadership = self.raft().leadership();
                // Only repeatable commands are retried.
                let may_move = !command.request_id.is_empty();
                tokio::select! {
                    biased;
                    answer = tokio::time::timeout(self.raft().pace().request_timeout(), answer) => match answer {
                        Ok(Ok(response)) => Ok(response),
                        Ok(Err(error)) => Err(not_by_leader(error)),
                        Err(_) => {
                            self.reconnect(id);
                            Err(Attempt::Unknown("the leader did not answer".to_owned()))
                        }
                    },
                    // A deposed leader may be unable to report it.
                    _ = leadership.wait_for(|now| now.leader != Some(id)), if may_move => {
                        Err(Attempt::Unknown(format!("node {id} is no longer the leader")))
                    }
                }
            }
        }
    }
}

/// The result of a forwarded write that the leader did not perform.
fn not_by_leader(error: RemoteError) -> Attempt {
    if error.is_invalid() {
        let refusal = CommandError { refusal: disco_proto::v1::Refusal::Invalid.into(), message: error.message };
        return Attempt::Final(WriteError::Refused(refusal));
    }
    if error.is_exhausted() {
        return Attempt::Final(WriteError::NoRoom(error.message));
    }
    if error.is_out_of_range() {
        return Attempt::Final(WriteError::AnswerTooLarge(error.message));
    }
    Attempt::Unknown(error.message)
}

/// The error of a write that was refused after an earlier attempt may have been applied.
fn possibly_applied(error: WriteError) -> WriteError {
    match error {
        WriteError::NoRoom(why) | WriteError::Unavailable { last: why } => WriteError::Unknown(why),
        // An invalid command was refused by the earlier attempt, too; the other errors have no such implication.
        error => error,
    }
}

/// A command with a new request id and the current time.
#[must_use]
pub fn command(operation: Operation, only_in_term: u64) -> Command {
    Command {
        request_id: bytes::Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes()),
        only_in_term,
        proposed_at_ms: crate::clock::unix_ms(),
        operation: Some(operation),
        ..Command::default()
    }
}

/// Converts a refusal by the store into an error.
fn refused(response: CommandResponse) -> Result<CommandResponse, WriteError> {
    match response.result {
        Some(command_response::Result::Error(error)) => Err(WriteError::Refused(error)),
        _ => Ok(response),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that receives "disk full" assumes that nothing was changed.
    #[test]
    fn a_write_that_may_have_been_applied_is_not_reported_as_refused() {
        let reported = possibly_applied(WriteError::NoRoom("the disk is full".to_owned()));
        assert!(matches!(&reported, WriteError::Unknown(why) if why == "the disk is full"), "{reported}");
        let moved = possibly_applied(WriteError::Unavailable { last: "node 2 leads".to_owned() });
        assert!(matches!(&moved, WriteError::Unknown(why) if why == "node 2 leads"), "{moved}");
        let refused = WriteError::Refused(CommandError::default());
        assert!(matches!(possibly_applied(refused), WriteError::Refused(_)));
    }
}
