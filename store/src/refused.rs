//! A command that changed nothing, and the reason.

use disco_proto::v1::{CommandError, CommandResponse, Refusal, command_response};

use crate::ReadError;

/// Why a command is refused. The message is part of the replicated answer: it must depend only on command and state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// For programs.
    pub refusal: Refusal,
    /// For people.
    pub message: String,
}

impl Refused {
    pub(crate) fn new(refusal: Refusal, message: impl Into<String>) -> Self {
        Self { refusal, message: message.into() }
    }

    /// A log entry that is not a command. The bytes, and so the answer, are the same on every node.
    #[must_use]
    pub fn unreadable(error: &prost::DecodeError) -> Self {
        Self::invalid(format!("cannot decode the command: {error}"))
    }

    /// The answer to the command, at the unchanged revision.
    #[must_use]
    pub fn into_response(self, revision: i64) -> CommandResponse {
        CommandResponse { revision, result: Some(command_response::Result::Error(self.into())) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Refusal::Invalid, message)
    }
}

/// A key for messages: answers are remembered, so a long key is truncated.
pub(crate) fn shown(key: &[u8]) -> String {
    const BYTES: usize = 64;
    let more = if key.len() > BYTES { "…" } else { "" };
    format!("`{}`{more}", key[..key.len().min(BYTES)].escape_ascii())
}

impl From<Refused> for CommandError {
    fn from(refused: Refused) -> Self {
        Self { refusal: refused.refusal.into(), message: refused.message }
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        let refusal = match error {
            ReadError::EmptyKey => Refusal::EmptyKey,
            ReadError::Compacted { .. } => Refusal::Compacted,
            ReadError::Future { .. } => Refusal::FutureRevision,
            ReadError::UnknownSort => Refusal::Invalid,
        };
        Self::new(refusal, error.to_string())
    }
}
