//! The daemon's errors as scripts see them, each with a code.

use disco_provider::ProviderError;
use disco_runtime_js::{ErrorCode, HostError};

use crate::cluster::Error;
use crate::node::WriteError;

/// Maps a failed write, or one with unknown outcome.
pub(super) fn write(error: WriteError) -> HostError {
    match error {
        WriteError::Refused(refusal) => {
            let code = ErrorCode::from_refusal(refusal.refusal().as_str_name());
            HostError::new(refusal.message).with_code(code)
        }
        WriteError::NoRoom(why) => HostError::new(why).with_code(ErrorCode::NoSpace),
        WriteError::AnswerTooLarge(_) => HostError::new(error.to_string()).with_code(ErrorCode::OutOfRange),
        WriteError::Unavailable { .. } | WriteError::Unknown(_) | WriteError::Stopped(_) => {
            HostError::new(error.to_string()).with_code(ErrorCode::Unavailable)
        }
    }
}

/// Maps a failed operation of the cluster, here or on another node.
pub(super) fn operation(error: impl Into<Error>) -> HostError {
    let error = error.into();
    let code = match error {
        Error::Write(error) => return write(error),
        Error::Remote(ref remote) => ErrorCode::from_grpc(remote.code, &remote.message),
        Error::Invalid(_) | Error::Script(_) => ErrorCode::Invalid,
        Error::NotFound(_) => ErrorCode::NotFound,
        Error::Denied(_) => ErrorCode::NotAllowed,
        Error::Refused(_) => ErrorCode::Refused,
        Error::Exhausted(_) => ErrorCode::Exhausted,
        Error::OutOfRange(_) => ErrorCode::OutOfRange,
        Error::Conflict(_) | Error::Unavailable(_) => ErrorCode::Unavailable,
        Error::Internal(_) => ErrorCode::Failed,
    };
    HostError::new(error.to_string()).with_code(code)
}

/// Maps an error of the provider.
pub(super) fn provider(error: &ProviderError) -> HostError {
    let code = match error {
        _ if error.is_usage() => ErrorCode::Invalid,
        _ if error.is_denied() => ErrorCode::NotAllowed,
        _ if error.is_limit() => ErrorCode::Refused,
        ProviderError::NoSuchMachine { .. } => ErrorCode::NotFound,
        _ => ErrorCode::Failed,
    };
    HostError::from_error(error).with_code(code)
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::{CommandError, Refusal};

    use super::*;

    #[test]
    fn refusals_keep_their_name() {
        let refusal = CommandError { refusal: Refusal::TooLarge.into(), message: "too large".to_owned() };
        let error = write(WriteError::Refused(refusal));
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::TooLarge, "too large"));
    }

    #[test]
    fn each_refusal_has_a_code() {
        for refusal in (1..64).map_while(|number| Refusal::try_from(number).ok()) {
            let code = ErrorCode::from_refusal(refusal.as_str_name());
            assert_ne!(code, ErrorCode::Refused, "{refusal:?}: add it to `ErrorCode::from_refusal`");
        }
    }
}
