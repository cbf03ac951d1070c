//! Connects callers that need a new certificate with the node's reports, which request it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The renewal of one node's certificate. Concurrent callers share one renewal.
#[derive(Debug, Default)]
pub struct Renewal {
    wanted: AtomicBool,
    requested: Notify,
    renewed: Notify,
    refusal: Mutex<Option<(Instant, String)>>,
}

/// Why the renewal failed.
#[derive(Debug, PartialEq, Eq)]
pub enum NotRenewed {
    /// The leader refused it.
    Refused(String),
    /// No leader was reached.
    NoAnswer,
}

// === impl Renewal ===

impl Renewal {
    /// Requests a new certificate and returns when it is in use.
    ///
    /// # Errors
    /// It is not in use within the time.
    pub async fn now(&self, limit: Duration) -> Result<(), NotRenewed> {
        let mut renewed = std::pin::pin!(self.renewed.notified());
        // Listening begins before the request, so that no answer is missed.
        renewed.as_mut().enable();
        *self.refusal.lock() = None;
        self.wanted.store(true, Ordering::Release);
        self.requested.notify_one();
        if tokio::time::timeout(limit, renewed).await.is_ok() {
            return Ok(());
        }
        self.wanted.store(false, Ordering::Release);
        Err(match self.refusal.lock().as_ref() {
            Some((_, reason)) => NotRenewed::Refused(reason.clone()),
            None => NotRenewed::NoAnswer,
        })
    }

    /// Returns when a renewal was requested.
    pub async fn requested(&self) {
        self.requested.notified().await;
    }

    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// A new certificate is in use.
    pub fn done(&self) {
        self.wanted.store(false, Ordering::Release);
        *self.refusal.lock() = None;
        self.renewed.notify_waiters();
    }

    /// The leader refused it. Logged once for each reason.
    pub fn refused(&self, reason: &str) {
        let mut refusal = self.refusal.lock();
        if refusal.as_ref().is_none_or(|(_, before)| before != reason) {
            tracing::warn!(reason, "cannot renew this node's certificate yet");
        }
        *refusal = Some((Instant::now(), reason.to_owned()));
    }

    pub fn was_refused_within(&self, time: Duration) -> bool {
        self.refusal.lock().as_ref().is_some_and(|(at, _)| at.elapsed() < time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn concurrent_callers_share_one_renewal() {
        let renewal = Renewal::default();
        let work = async {
            renewal.requested().await;
            assert!(renewal.is_wanted());
            renewal.done();
        };
        let (one, two, ()) = tokio::join!(renewal.now(LONG), renewal.now(LONG), work);
        assert_eq!((one, two), (Ok(()), Ok(())));
        assert!(!renewal.is_wanted());
    }

    #[tokio::test]
    async fn a_refusal_is_reported_and_remembered() {
        const SHORT: Duration = Duration::from_millis(20);
        let renewal = Renewal::default();
        assert_eq!(renewal.now(SHORT).await, Err(NotRenewed::NoAnswer));
        renewal.requested().await;
        let work = async {
            renewal.requested().await;
            renewal.refused("no");
        };
        let (answer, ()) = tokio::join!(renewal.now(SHORT), work);
        assert_eq!(answer, Err(NotRenewed::Refused("no".to_owned())));
        assert!(
            !renewal.is_wanted() && renewal.was_refused_within(LONG) && !renewal.was_refused_within(Duration::ZERO)
        );
        renewal.done();
        assert!(!renewal.was_refused_within(LONG));
    }
}
