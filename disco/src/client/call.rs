use std::{
    future::Future,
    io::ErrorKind,
    time::{Duration, Instant},
};

use tonic::{Code, Response, Status};

use super::{Client, Control, error::from_status};
use crate::error::Outcome;

/// Pause before a retry: the first is short, as a new leader is found within a few hundred milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Time for one answer, before the request is retried at another node: the first may be stopped, or cut off from the leader.
const SINGLE: Duration = Duration::from_secs(3);

impl Client {
    /// Sends a request, and retries transient failures until the patience is used up. Only for idempotent requests.
    pub(crate) async fn call<T, F, R>(&self, send: F) -> Outcome<T>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        self.call_within(SINGLE, send).await
    }

    /// Like [`Client::call`], for requests whose answer may take up to `single`.
    pub(crate) async fn call_within<T, F, R>(&self, single: Duration, send: F) -> Outcome<T>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        self.attempt(single, send).await.map_err(|unanswered| from_status(&unanswered.status))
    }

    /// Like [`Client::call`], for a write: reports whether it may be applied although no attempt was answered.
    pub(super) async fn call_to_write<T, F, R>(&self, send: F) -> Result<T, Unanswered>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        self.attempt(SINGLE, send).await
    }

    async fn attempt<T, F, R>(&self, single: Duration, send: F) -> Result<T, Unanswered>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        if !self.0.polls {
            self.waits_for(Some("the cluster's answer"));
        }
        let ended = self.attempts(single, send).await;
        self.waits_for(None);
        ended
    }

    async fn attempts<T, F, R>(&self, single: Duration, send: F) -> Result<T, Unanswered>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        let mut retries = Retries::new(Instant::now(), single, self.0.patience);
        let mut pause = FIRST_PAUSE;
        let mut unknown = false;
        loop {
            let sent = Instant::now();
            let status = match self.control().await {
                Err(status) => status,
                Ok((address, control)) => match tokio::time::timeout(single, send(control)).await {
                    Ok(Ok(answer)) => return Ok(answer.into_inner()),
                    Ok(Err(status)) => {
                        unknown |= outcome_unknown(&status);
                        if passing(&status) {
                            self.forget(address);
                        }
                        status
                    }
                    Err(_) => {
                        unknown = true;
                        self.forget(address);
                        Status::unavailable(format!("{address}: no answer within {}s", single.as_secs()))
                    }
                },
            };
            retries.attempted(sent, Instant::now());
            if !passing(&status) || Instant::now() + pause >= retries.deadline {
                // A later attempt that finds no space says nothing about an earlier one.
                let unknown = unknown && (passing(&status) || status.code() == Code::ResourceExhausted);
                return Err(Unanswered { status, unknown });
            }
            tracing::debug!(code = ?status.code(), message = status.message(), "retrying");
            let why = disco_identity::describe(&status);
            self.waits_for(Some(&format!("the cluster does not answer yet ({why})")));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn waits_for(&self, what: Option<&str>) {
        self.0.printer.waits_for(what);
    }

    /// Waits until the cluster can be reached, then sends the request once, without retries: for requests that are not idempotent.
    pub(crate) async fn call_once<T, F, R>(&self, send: F) -> Outcome<T>
    where
        F: FnOnce(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        self.settled().await?;
        let (_, control) = self.control().await.map_err(|status| from_status(&status))?;
        send(control).await.map(Response::into_inner).map_err(|status| from_status(&status))
    }
}

/// When the retries of a request end.
struct Retries {
    begun: Instant,
    deadline: Instant,
    /// Longest time for one answer.
    single: Duration,
    patience: Duration,
}

// === impl Retries ===

impl Retries {
    fn new(begun: Instant, single: Duration, patience: Duration) -> Self {
        Self { begun, deadline: begun + patience, single, patience }
    }

    /// An attempt lasted from `sent` to `now`. The time that a node worked on a long request is not time without an
    /// answer: after it there is the whole patience again, once for all attempts together.
    fn attempted(&mut self, sent: Instant, now: Instant) {
        if self.single > SINGLE && now.duration_since(sent) > SINGLE {
            let last = self.begun + self.single + self.patience;
            self.deadline = self.deadline.max((now + self.patience).min(last));
        }
    }
}

/// The end of all attempts of a request.
pub(super) struct Unanswered {
    /// The last answer.
    pub(super) status: Status,
    /// An attempt may have been carried out, or may still be.
    pub(super) unknown: bool,
}

/// Whether the request may have been carried out, or may still be: its answer was lost, or the node does not know it.
fn outcome_unknown(status: &Status) -> bool {
    // A node's own words, see its `WriteError`.
    if status.code() == Code::DeadlineExceeded || status.message().contains("outcome unknown") {
        return true;
    }
    let mut source = std::error::Error::source(status);
    let lost = source.is_some() && passing(status);
    while let Some(error) = source {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            return false;
        }
        source = error.source();
    }
    lost
}

/// Whether a failure is transient, so that a retry, maybe at another node, can help: no answer, or no known leader.
pub(crate) fn passing(status: &Status) -> bool {
    disco_identity::refusal(status).is_none()
        && match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => true,
            // Reported by the transport when a connection breaks during a request.
            Code::Unknown | Code::Cancelled | Code::Internal => std::error::Error::source(status).is_some(),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(kind: ErrorKind) -> Status {
        Status::from_error(Box::new(std::io::Error::from(kind)))
    }

    #[test]
    fn the_time_that_a_node_worked_on_a_long_request_leaves_time_to_retry() {
        let (begun, patience, long) = (Instant::now(), Duration::from_secs(10), Duration::from_secs(60));
        let at = |seconds| begun + Duration::from_secs(seconds);
        let after = |sent, now, single| {
            let mut retries = Retries::new(begun, single, patience);
            retries.attempted(at(sent), at(now));
            retries.deadline
        };
        // An election ends an attempt after 11 s: the next leader gets the request.
        assert_eq!(after(0, 11, long), at(21));
        // A cluster that does not answer is left after the patience, and an ordinary request too.
        assert_eq!(after(8, 9, long), at(10));
        assert_eq!(after(0, 11, SINGLE), at(10));
        // No request is repeated for ever.
        assert_eq!(after(0, 65, long), at(70));
        assert_eq!(after(30, 80, long), at(70));
    }

    #[test]
    fn a_write_without_an_answer_may_be_applied_and_one_that_was_not_sent_may_not() {
        assert!(outcome_unknown(&Status::unavailable("outcome unknown, read before trying again: no quorum answered")));
        assert!(outcome_unknown(&Status::deadline_exceeded("")));
        assert!(outcome_unknown(&broken(ErrorKind::ConnectionReset)));
        assert!(!outcome_unknown(&broken(ErrorKind::ConnectionRefused)));
        assert!(!outcome_unknown(&Status::unavailable("the cluster has no leader that accepts writes")));
        assert!(!outcome_unknown(&Status::permission_denied("no")));
    }
}
