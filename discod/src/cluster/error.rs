//! Why an operation failed; shared by gRPC, etcd's API and scripts.

use disco_runtime_js::ScriptError;
use thiserror::Error;

use crate::node::{ReadError, WriteError};
use crate::peers::RemoteError;
use crate::raft::{RaftError, ReadIndexError};

/// An error of an operation. Each adapter maps it once: to a gRPC status, to a status with etcd's texts, to an error
/// that scripts see.
#[derive(Debug, Error)]
pub enum Error {
    /// The request is wrong, whatever the state of the cluster.
    #[error("{0}")]
    Invalid(String),
    /// The object does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The caller must not do that.
    #[error("{0}")]
    Denied(String),
    /// The state of the cluster does not allow it; it has to change first.
    #[error("{0}")]
    Refused(String),
    /// Others changed the same object at the same time: a retry may succeed.
    #[error("{0}")]
    Conflict(String),
    /// There is no space for it now, or a limit is reached.
    #[error("{0}")]
    Exhausted(String),
    /// It requests something outside of the available range, or its answer is too large.
    #[error("{0}")]
    OutOfRange(String),
    /// It cannot be done now, or its outcome is unknown: a retry may tell.
    #[error("{0}")]
    Unavailable(String),
    /// A write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Another node answered with this error.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A script cannot be used: why, and where in it.
    #[error("{0}")]
    Script(Box<ScriptError>),
    /// A failure inside the daemon, with its causes.
    #[error("{0:#}")]
    Internal(anyhow::Error),
}

/// The outcome of an operation.
pub type Result<T> = std::result::Result<T, Error>;

// === impl Error ===

impl Error {
    /// A failure inside the daemon.
    #[must_use]
    pub fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::Internal(error.into())
    }
}

impl From<RaftError> for Error {
    fn from(error: RaftError) -> Self {
        match error {
            RaftError::Membership(_) => Self::Refused(error.to_string()),
            RaftError::NotLeader { .. } | RaftError::Unknown(_) | RaftError::Stopped(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Index(error) => error.into(),
            ReadError::Store(error) => error.into(),
        }
    }
}

impl From<disco_store::ReadError> for Error {
    fn from(error: disco_store::ReadError) -> Self {
        Self::OutOfRange(error.to_string())
    }
}

impl From<ReadIndexError> for Error {
    fn from(error: ReadIndexError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
