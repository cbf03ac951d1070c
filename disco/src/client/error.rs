//! Converts gRPC statuses to failures with exit codes.

use disco_identity::Expiry;
use disco_proto::v1::ScriptFailure;
use disco_runtime_js::ErrorCode;
use prost::Message;
use tonic::{Code, Status};

use super::script_failure::from_wire;
use crate::{error::Failure, exit::ExitStatus};

pub(crate) fn from_status(status: &Status) -> Failure {
    if let Some(refusal) = disco_identity::refusal(status) {
        return Failure::new(ExitStatus::Denied, "the node and this operator do not accept each other's certificates")
            .cause(refusal)
            .hint(match disco_identity::expiry(status) {
                Some(Expiry::Theirs) => "`disco cert rotate --expired` renews the nodes' certificates over SSH",
                Some(Expiry::Own) => {
                    "if `disco doctor` shows that this operator's certificate has expired, renew it with `disco cert rotate \
                     --operator`; else the node's clock or this one is wrong: compare it with `disco node ssh NODE -- date`"
                }
                None => "`disco doctor` checks certificates and clocks",
            });
    }
    if let Some(failure) = script_failure(status) {
        return from_wire(ExitStatus::Usage, failure);
    }
    let message = disco_identity::describe(status);
    let code = match status.code() {
        // Reported by the transport when a connection breaks during a request.
        Code::Unknown | Code::Internal if std::error::Error::source(status).is_some() => ErrorCode::Unavailable,
        code => ErrorCode::from_grpc(code.into(), &message),
    };
    let failure = match status.code() {
        _ if code == ErrorCode::TooLarge => super::listing::too_large(&message),
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Unknown | Code::Cancelled => {
            Failure::new(ExitStatus::Unreachable, "the cluster cannot be reached, or has no quorum")
                .cause(message)
                .hint("`disco status` shows what a node sees, `disco doctor` checks this computer and the cluster")
        }
        Code::PermissionDenied | Code::Unauthenticated => Failure::new(ExitStatus::Denied, message),
        Code::NotFound => Failure::new(ExitStatus::NotFound, message),
        Code::InvalidArgument | Code::OutOfRange => Failure::usage(message),
        Code::FailedPrecondition => Failure::new(ExitStatus::Guarded, message),
        Code::Unimplemented => Failure::failed(message)
            .hint("the node runs another version of Disco: compare `disco --version` with `disco nodes`"),
        _ => Failure::failed(message),
    };
    failure.coded(code)
}

/// The details of a refused script version, see `ScriptFailure` in the `.proto` files.
fn script_failure(status: &Status) -> Option<ScriptFailure> {
    if status.code() != Code::InvalidArgument || status.details().is_empty() {
        return None;
    }
    // Details of another type are ignored: the message is enough.
    ScriptFailure::decode(status.details()).ok().filter(|failure| !failure.message.is_empty())
}
