//! Failures of the daemon as scripts see them, each with a code.

use disco_proto::v1::Refusal;
use disco_runtime_js::HostError;
use tonic::{Code, Status};

use crate::grpc;
use crate::node::WriteError;

/// A write that did not happen, or of which that is not known.
pub(super) fn write(error: WriteError) -> HostError {
    match error {
        WriteError::Refused(refusal) => {
            let code = refusal.refusal().as_str_name().trim_start_matches("REFUSAL_");
            let code = if refusal.refusal() == Refusal::Unspecified { "REFUSED" } else { code };
            HostError::new(refusal.message).with_code(code)
        }
        WriteError::NoRoom(why) => HostError::new(why).with_code("NO_SPACE"),
        WriteError::AnswerTooLarge(_) => HostError::new(error.to_string()).with_code("OUT_OF_RANGE"),
        WriteError::Unavailable { .. } | WriteError::Unknown(_) | WriteError::Stopped(_) => {
            HostError::new(error.to_string()).with_code("UNAVAILABLE")
        }
    }
}

/// What another part of the daemon, or another node, answered.
pub(super) fn status(status: &Status) -> HostError {
    let code = match status.code() {
        Code::InvalidArgument => "INVALID",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "EXISTS",
        Code::PermissionDenied | Code::Unauthenticated => "NOT_ALLOWED",
        Code::FailedPrecondition => "REFUSED",
        Code::ResourceExhausted => "EXHAUSTED",
        Code::DeadlineExceeded => "TIMEOUT",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNSUPPORTED",
        Code::Unavailable | Code::Aborted | Code::Cancelled => "UNAVAILABLE",
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => "FAILED",
    };
    HostError::new(grpc::describe(status)).with_code(code)
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::CommandError;

    use super::*;

    #[test]
    fn refusals_keep_their_name() {
        let refusal = CommandError { refusal: Refusal::TooLarge.into(), message: "too large".to_owned() };
        let error = write(WriteError::Refused(refusal));
        assert_eq!((error.code.as_deref(), error.message.as_str()), (Some("TOO_LARGE"), "too large"));
    }
}
