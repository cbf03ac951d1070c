use std::{
    future::Future,
    time::{Duration, Instant},
};

use tonic::{Code, Response, Status};

use super::{Client, Control, error::from_status};
use crate::error::Outcome;

/// Pause before a request is repeated: the first is short, as a leader is found again within a few hundred milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A single answer that takes longer is asked for at another node: the one asked may be stopped, or cut off from the leader.
const SINGLE: Duration = Duration::from_secs(3);

impl Client {
    /// Asks until there is an answer that repeating cannot change, for as long as the patience lasts. For requests that may
    /// be repeated.
    pub(crate) async fn call<T, F, R>(&self, ask: F) -> Outcome<T>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        self.call_within(SINGLE, ask).await
    }

    /// The same for requests whose answer may take up to `single`.
    pub(crate) async fn call_within<T, F, R>(&self, single: Duration, ask: F) -> Outcome<T>
    where
        F: Fn(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.0.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let status = match self.control().await {
                Err(status) => status,
                Ok((address, control)) => match tokio::time::timeout(single, ask(control)).await {
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
            tracing::debug!(code = ?status.code(), message = status.message(), "asking again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks once the cluster can be reached, and never again: for what must not be done twice.
    pub(crate) async fn call_once<T, F, R>(&self, ask: F) -> Outcome<T>
    where
        F: FnOnce(Control) -> R,
        R: Future<Output = Result<Response<T>, Status>>,
    {
        self.settled().await?;
        let (_, control) = self.control().await.map_err(|status| from_status(&status))?;
        ask(control).await.map(Response::into_inner).map_err(|status| from_status(&status))
    }
}

/// Asking again, maybe elsewhere, can help: nobody answered, or no leader is known at the moment.
pub(crate) fn passing(status: &Status) -> bool {
    disco_identity::refusal(status).is_none()
        && match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => true,
            // What the transport reports when a connection breaks in the middle of a request.
            Code::Unknown | Code::Cancelled | Code::Internal => std::error::Error::source(status).is_some(),
            _ => false,
        }
}
