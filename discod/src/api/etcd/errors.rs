//! Errors with etcd's texts, since clients compare them. From `api/v3rpc/rpctypes/error.go` of etcd 3.6.

use disco_proto::v1::Refusal;
use tonic::{Code, Status};

use crate::cluster::Error;
use crate::node::WriteError;
use crate::raft::ReadIndexError;

pub(super) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
/// For a watch id that is in use.
pub(super) const DUPLICATE_WATCH: &str = "mvcc: duplicate watch ID provided on the WatchStream";
/// For a range that ends before it begins.
pub(super) const EMPTY_WATCH: &str = "mvcc: watcher range is empty";
pub(super) const TOO_MANY_REQUESTS: &str = "etcdserver: too many requests";

macro_rules! errors {
    ($($name:ident: $code:ident $text:literal;)*) => {
        $(pub(super) fn $name() -> Status {
            Status::new(Code::$code, $text)
        })*
    };
}

errors! {
    empty_key: InvalidArgument "etcdserver: key is not provided";
    key_not_found: InvalidArgument "etcdserver: key not found";
    value_provided: InvalidArgument "etcdserver: value is provided";
    lease_provided: InvalidArgument "etcdserver: lease is provided";
    too_many_operations: InvalidArgument "etcdserver: too many operations in txn request";
    duplicate_key: InvalidArgument "etcdserver: duplicate key given in txn request";
    invalid_sort: InvalidArgument "etcdserver: invalid sort option";
    future_revision: OutOfRange "etcdserver: mvcc: required revision is a future revision";
    no_space: ResourceExhausted "etcdserver: mvcc: database space exceeded";
    lease_not_found: NotFound "etcdserver: requested lease not found";
    lease_exists: FailedPrecondition "etcdserver: lease already exists";
    lease_ttl_too_large: OutOfRange "etcdserver: too large lease TTL";
    request_too_large: InvalidArgument "etcdserver: request is too large";
    auth_not_enabled: FailedPrecondition "etcdserver: authentication is not enabled";
    invalid_auth_token: Unauthenticated "etcdserver: invalid auth token";
    no_leader: Unavailable "etcdserver: no leader";
    not_leader: FailedPrecondition "etcdserver: not leader";
    leader_changed: Unavailable "etcdserver: leader changed";
    stopped: Unavailable "etcdserver: server stopped";
    timed_out: Unavailable "etcdserver: request timed out";
    bad_transferee: FailedPrecondition "etcdserver: bad leader transferee";
    // From etcd's package `concurrency`, whose errors have no code.
    session_expired: Unknown "mutex: session is expired";
    election_not_leader: Unknown "election: not leader";
    election_no_leader: Unknown "election: no leader";
    missing_leader_key: Unknown "\"leader\" field must be provided";
}

pub(super) fn compacted() -> Status {
    Status::out_of_range(COMPACTED)
}

pub(super) fn too_many_requests() -> Status {
    Status::resource_exhausted(TOO_MANY_REQUESTS)
}

/// etcd's text first, for clients that look for it, then the reason.
pub(super) fn denied(why: &str) -> Status {
    Status::permission_denied(format!("etcdserver: permission denied: {why}"))
}

/// An unexpected kind of answer, which a newer leader might send.
pub(super) fn unexpected() -> Status {
    Status::internal("etcdserver: unknown kind of response")
}

pub(super) fn of_refusal(refusal: Refusal, message: &str) -> Status {
    match refusal {
        Refusal::EmptyKey => empty_key(),
        Refusal::DuplicateKey => duplicate_key(),
        Refusal::LeaseNotFound => lease_not_found(),
        Refusal::LeaseExists => lease_exists(),
        Refusal::Compacted => compacted(),
        Refusal::FutureRevision => future_revision(),
        Refusal::KeyNotFound => key_not_found(),
        Refusal::StaleTerm => leader_changed(),
        Refusal::TooLarge => request_too_large(),
        Refusal::TooManyOperations => too_many_operations(),
        Refusal::NoSpace => no_space(),
        Refusal::Invalid | Refusal::Unspecified => Status::invalid_argument(format!("etcdserver: {message}")),
    }
}

pub(super) fn of_read(error: disco_store::ReadError) -> Status {
    match error {
        disco_store::ReadError::EmptyKey => empty_key(),
        disco_store::ReadError::Compacted { .. } => compacted(),
        disco_store::ReadError::Future { .. } => future_revision(),
        disco_store::ReadError::UnknownSort => invalid_sort(),
    }
}

pub(super) fn of_read_index(error: ReadIndexError) -> Status {
    tracing::debug!(%error, "linearizable read failed");
    match error {
        ReadIndexError::NoLeader => no_leader(),
        ReadIndexError::Unconfirmed(_) => timed_out(),
        ReadIndexError::Stopped(_) => stopped(),
    }
}

/// An error of an operation that etcd handles differently or does not have.
pub(super) fn of_operation(error: Error) -> Status {
    tracing::debug!(%error, "operation failed");
    match error {
        Error::Denied(why) => denied(&why),
        Error::Write(error) => of_write(error),
        _ => timed_out(),
    }
}

pub(super) fn of_write(error: WriteError) -> Status {
    tracing::debug!(%error, "write failed");
    match error {
        WriteError::Refused(refused) => of_refusal(refused.refusal(), &refused.message),
        // A full disk, like etcd's alarm of the same name.
        WriteError::NoRoom(_) => no_space(),
        WriteError::Unavailable { .. } | WriteError::Unknown(_) => timed_out(),
        // etcd has no error for this: gRPC itself uses this code for messages that are too large.
        WriteError::AnswerTooLarge(_) => Status::resource_exhausted(error.to_string()),
        WriteError::Stopped(_) => stopped(),
    }
}
