//! Maps the daemon's errors to gRPC statuses.

use bytes::Bytes;
use disco_proto::v1::Refusal;
use disco_runtime_js::ScriptError;
use prost::Message;
use tonic::{Code, Status};

use crate::cluster::Error;
use crate::node::WriteError;
use crate::peers::RemoteError;
use crate::script;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(why) => Self::invalid_argument(why),
            Error::NotFound(why) => Self::not_found(why),
            Error::Denied(why) => Self::permission_denied(why),
            Error::Refused(why) => Self::failed_precondition(why),
            Error::Conflict(why) => Self::aborted(why),
            Error::Exhausted(why) => Self::resource_exhausted(why),
            Error::OutOfRange(why) => Self::out_of_range(why),
            Error::Unavailable(why) => Self::unavailable(why),
            Error::Write(error) => error.into(),
            Error::Remote(error) => error.into(),
            Error::Script(error) => unusable(&error),
            Error::Internal(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<WriteError> for Status {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => {
                let message = refusal.message.clone();
                match refusal.refusal() {
                    Refusal::NoSpace => Self::resource_exhausted(message),
                    Refusal::StaleTerm => Self::unavailable("leader changed; try again"),
                    Refusal::LeaseNotFound | Refusal::KeyNotFound => Self::not_found(message),
                    Refusal::LeaseExists => Self::already_exists(message),
                    Refusal::Compacted | Refusal::FutureRevision => Self::out_of_range(message),
                    _ => Self::invalid_argument(message),
                }
            }
            WriteError::NoRoom(_) => Self::resource_exhausted(error.to_string()),
            WriteError::AnswerTooLarge(_) => Self::out_of_range(error.to_string()),
            WriteError::Unavailable { .. } | WriteError::Unknown(_) | WriteError::Stopped(_) => {
                Self::unavailable(error.to_string())
            }
        }
    }
}

impl From<RemoteError> for Status {
    /// The answer of another node, unchanged.
    fn from(error: RemoteError) -> Self {
        Self::with_details(error.code.into(), error.message, error.details)
    }
}

/// A failure inside the daemon, with its causes.
pub(super) fn internal(error: impl Into<anyhow::Error>) -> Status {
    Error::internal(error).into()
}

/// With the place in the script, for the client to show.
fn unusable(error: &ScriptError) -> Status {
    let details = Bytes::from(script::to_wire(error).encode_to_vec());
    let message: String = error.to_string().chars().take(1000).collect();
    Status::with_details(Code::InvalidArgument, message, details)
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::ScriptFailure;
    use disco_runtime_js::ScriptErrorKind;

    use super::*;

    #[test]
    fn a_refusal_carries_the_place() {
        let mut error = ScriptError::new(ScriptErrorKind::Thrown, "TypeError: x is not a function");
        (error.file, error.line, error.column) = (Some("cluster.js".into()), Some(3), Some(5));
        let status = Status::from(Error::Script(Box::new(error)));
        assert_eq!(status.message(), "cluster.js:3:5: TypeError: x is not a function");
        let failure = ScriptFailure::decode(status.details()).unwrap();
        assert_eq!((failure.file.as_str(), failure.line, failure.column), ("cluster.js", 3, 5));
        assert_eq!(failure.message, "TypeError: x is not a function");
    }
}
