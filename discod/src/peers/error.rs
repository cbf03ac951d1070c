//! Errors between two nodes, without the types of the transport.

use std::error::Error as _;

use bytes::Bytes;
use disco_identity::describe;
use thiserror::Error;
use tonic::{Code, Status};

/// The error answer of another node, or why no answer arrived.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct RemoteError {
    /// gRPC's code of the failure. `UNAVAILABLE` if the connection broke: the outcome is then unknown.
    pub code: i32,
    /// The message, with the causes known to the transport.
    pub message: String,
    /// The other node's attachment, unchanged.
    pub details: Bytes,
}

// === impl RemoteError ===

impl RemoteError {
    /// The other node cannot be reached now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { code: Code::Unavailable.into(), message: message.into(), details: Bytes::new() }
    }

    /// Whether a retry is pointless: the other node has examined the request and refused it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            Code::from(self.code),
            Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::FailedPrecondition
        )
    }

    /// Whether the request itself is wrong.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        Code::from(self.code) == Code::InvalidArgument
    }

    /// Whether the other node has no space for the request.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        Code::from(self.code) == Code::ResourceExhausted
    }

    /// Whether the other node does not have what was requested.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        Code::from(self.code) == Code::NotFound
    }

    /// Whether the other node's version does not have this operation yet.
    #[must_use]
    pub fn is_unimplemented(&self) -> bool {
        Code::from(self.code) == Code::Unimplemented
    }

    /// Whether the answer does not fit.
    #[must_use]
    pub fn is_out_of_range(&self) -> bool {
        Code::from(self.code) == Code::OutOfRange
    }
}

impl From<Status> for RemoteError {
    /// Only errors of a connection have a source. The other node's own answer stays unchanged.
    fn from(status: Status) -> Self {
        match status.source() {
            Some(_) => Self::unavailable(describe(&status)),
            None => Self {
                code: status.code().into(),
                message: describe(&status),
                details: Bytes::copy_from_slice(status.details()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_is_no_answer_and_an_answer_is_no_broken_connection() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = RemoteError::from(Status::from_error(Box::new(broken)));
        assert_eq!(Code::from(error.code), Code::Unavailable);
        assert!(error.message.contains("connection reset"), "{error}");
        for answer in [Status::unknown("what"), Status::not_found("there is no node 9"), Status::internal("a bug")] {
            let error = RemoteError::from(answer.clone());
            assert_eq!((Code::from(error.code), error.message.as_str()), (answer.code(), answer.message()));
        }
    }
}
