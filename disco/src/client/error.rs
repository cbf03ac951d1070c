//! From a node's refusal to the operator's failure and exit code.

use disco_identity::Expiry;
use disco_proto::v1::ScriptFailure;
use disco_runtime_js::ErrorCode;
use prost::Message;
use tonic::{Code, Status};

use super::script_failure::from_wire;
use crate::{error::Failure, exit::ExitStatus};

pub(crate) fn from_status(status: &Status) -> Failure {
    if let Some(refusal) = disco_identity::refusal(status) {
        return Failure::new(ExitStatus::Denied, "the cluster's node and this operator do not accept each other")
            .cause(refusal)
            .hint(match disco_identity::expiry(status) {
                Some(Expiry::Theirs) => "`disco cert rotate --expired` gives nodes new certificates over SSH",
                Some(Expiry::Own) => {
                    "where `disco doctor` says that this operator's certificate has ended, `disco cert rotate --operator` signs it \
                     anew; else the node's clock, or this one, is wrong: `disco node ssh NODE date` tells"
                }
                None => "`disco doctor` checks certificates and clocks",
            });
    }
    if let Some(failure) = script_failure(status) {
        return from_wire(ExitStatus::Usage, failure);
    }
    let message = disco_identity::describe(status);
    let code = match status.code() {
        // What the transport reports when a connection breaks in the middle of a request.
        Code::Unknown | Code::Internal if std::error::Error::source(status).is_some() => ErrorCode::Unavailable,
        code => ErrorCode::from_grpc(code.into(), &message),
    };
    let failure = match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Unknown | Code::Cancelled => {
            Failure::new(ExitStatus::Unreachable, "the cluster cannot be reached, or has no quorum")
                .cause(message)
                .hint("`disco status` shows what each node sees, `disco doctor` what is wrong here")
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

/// What a refused script version comes with, see `ScriptFailure` in the wire contract.
fn script_failure(status: &Status) -> Option<ScriptFailure> {
    if status.code() != Code::InvalidArgument || status.details().is_empty() {
        return None;
    }
    // Details of another kind leave the message, which says it as well.
    ScriptFailure::decode(status.details()).ok().filter(|failure| !failure.message.is_empty())
}
