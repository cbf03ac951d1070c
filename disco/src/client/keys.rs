//! Keys of the replicated store.

use disco_proto::v1::{
    Command, CommandResponse, KeyValue, ProposeRequest, RangeRequest, RangeResponse, ReadRequest, Refusal,
    WatchRequest, WatchResponse, command, command_response,
};
use disco_runtime_js::ErrorCode;
use tonic::{Status, Streaming};

use super::{Client, from_status};
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
};

impl Client {
    /// Proposes a command. Retries use the same request id, so it applies once.
    pub(crate) async fn propose(&self, operation: command::Operation) -> Outcome<CommandResponse> {
        let command = Command {
            request_id: uuid::Uuid::new_v4().into_bytes().to_vec().into(),
            only_in_term: 0,
            proposed_at_ms: jiff::Timestamp::now().as_millisecond(),
            operation: Some(operation),
            ..Command::default()
        };
        let request = ProposeRequest { command: Some(command), ..ProposeRequest::default() };
        let answer = self
            .call_to_write(|mut control| {
                let request = request.clone();
                async move { control.propose(request).await }
            })
            .await
            .map_err(|unanswered| match unanswered.unknown {
                true => possibly_applied(&unanswered.status),
                false => from_status(&unanswered.status),
            })
            // For a write, the only resource that can be exhausted is space.
            .map_err(|failure| match failure.code() {
                ErrorCode::Exhausted => failure.coded(ErrorCode::NoSpace),
                _ => failure,
            })?;
        let response = answer.response.ok_or_else(|| Failure::failed("unexpected response: no result"))?;
        match &response.result {
            Some(command_response::Result::Error(error)) => Err(refused(error.refusal(), &error.message)),
            _ => Ok(response),
        }
    }

    pub(crate) async fn range(&self, range: RangeRequest, stale: bool) -> Outcome<RangeResponse> {
        let request = ReadRequest { range: Some(range), stale };
        self.call(|mut control| {
            let request = request.clone();
            async move { control.range(request).await }
        })
        .await
    }

    pub(crate) async fn get(&self, key: &[u8], stale: bool, revision: i64) -> Outcome<Option<KeyValue>> {
        let range = RangeRequest { key: key.to_vec().into(), revision, ..RangeRequest::default() };
        Ok(self.range(range, stale).await?.kvs.into_iter().next())
    }

    /// Watches changes of keys in [`key`, `range_end`) from a revision on (0: from now).
    pub(crate) async fn watch(&self, key: &[u8], range_end: &[u8], start: i64) -> Outcome<Streaming<WatchResponse>> {
        let request = WatchRequest {
            key: key.to_vec().into(),
            range_end: range_end.to_vec().into(),
            start_revision: start,
            prev_kv: false,
        };
        self.call(|mut control| {
            let request = request.clone();
            async move { control.watch(request).await }
        })
        .await
    }

    /// Calls `each` with every response of a watch, forever: if its node is lost, the watch continues at another one, after the last
    /// received revision.
    pub(crate) async fn watch_forever(
        &self,
        key: &[u8],
        range_end: &[u8],
        start: i64,
        mut each: impl FnMut(WatchResponse) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut next = start;
        loop {
            let mut stream = self.watch(key, range_end, next).await?;
            loop {
                match stream.message().await {
                    Ok(Some(answer)) if answer.compact_revision > 0 => {
                        return Err(compacted(answer.compact_revision));
                    }
                    Ok(Some(answer)) => {
                        next = next.max(answer.revision + 1);
                        each(answer)?;
                    }
                    Ok(None) => break,
                    Err(status) if super::passing(&status) => break,
                    Err(status) => return Err(from_status(&status)),
                }
            }
            self.drop_connection();
        }
    }
}

/// The failure of a write whose outcome is unknown.
fn possibly_applied(status: &Status) -> Failure {
    Failure::new(ExitStatus::TimedOut, "outcome unknown: the write may still be applied")
        .cause("the cluster cannot be reached, or has no quorum")
        .cause(disco_identity::describe(status))
        .hint("read the key before you write it again; `disco status` shows whether there is a quorum")
        .coded(ErrorCode::Unavailable)
}

/// The failure of a request for compacted revisions.
pub(crate) fn compacted(first: i64) -> Failure {
    Failure::new(ExitStatus::NotFound, format!("revisions before {first} are compacted")).coded(ErrorCode::Compacted)
}

fn refused(refusal: Refusal, message: &str) -> Failure {
    let status = match refusal {
        Refusal::KeyNotFound | Refusal::LeaseNotFound => ExitStatus::NotFound,
        Refusal::EmptyKey
        | Refusal::DuplicateKey
        | Refusal::TooLarge
        | Refusal::TooManyOperations
        | Refusal::Invalid
        | Refusal::FutureRevision => ExitStatus::Usage,
        Refusal::NoSpace => ExitStatus::Guarded,
        _ => ExitStatus::Failed,
    };
    Failure::new(
        status,
        if message.is_empty() { refusal.as_str_name().to_ascii_lowercase() } else { message.to_owned() },
    )
    .coded(ErrorCode::from_refusal(refusal.as_str_name()))
}
