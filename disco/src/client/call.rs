use std::{
    future::Future,
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
        let deadline = Instant::now() + self.0.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let status = match self.control().await {
                Err(status) => status,
                Ok((address, control)) => match tokio::time::timeout(single, send(control)).await {
                    Ok(Ok(answer)) => return Ok(answer.into_inner()),
                    Ok(Err(status)) => {
                        if passing(&status) {
                            self.forget(address);
                        }
                        status
                    }
                    Err(_) => {
                        self.forget(address);
                        Status::unavailable(format!("{address}: no answer within {}s", single.as_secs()))
                    }
                },
            };
            if !passing(&status) || Instant::now() + pause >= deadline {
                return Err(from_status(&status));
            }
            tracing::debug!(code = ?status.code(), message = status.message(), "retrying");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
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
