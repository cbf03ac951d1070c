//! Contents that are being fetched: one at a time of each, for all that wait for it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// How far a content is.
#[derive(Clone, Debug, Default)]
pub struct Flight {
    /// Bytes.
    pub received: u64,
    /// Absent while it is being fetched.
    pub end: Option<Result<(), NotFetched>>,
}

/// Why a content is not on this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// All nodes that may have it were asked, and lack it.
    #[error("{0}")]
    Nowhere(String),
    /// Nodes that may have it do not answer, or it broke off: a later attempt may succeed.
    #[error("{0}")]
    Unreachable(String),
    /// The disk of this node has no space for it.
    #[error("{0}")]
    NoSpace(String),
    /// This node's disk fails.
    #[error("{0}")]
    Failed(String),
}

/// All that are being fetched. Cheap to clone.
#[derive(Clone, Default)]
pub struct Flights(Arc<Mutex<BTreeMap<String, watch::Sender<Flight>>>>);

// === impl Flights ===

impl Flights {
    /// The fetch of a content: one that is under way, else a new one. It ends early if no receiver is left.
    pub fn join<F>(&self, sha256: &str, fetch: impl FnOnce(watch::Sender<Flight>) -> F) -> watch::Receiver<Flight>
    where
        F: Future<Output = Result<(), NotFetched>> + Send + 'static,
    {
        let mut all = self.0.lock();
        if let Some(sender) = all.get(sha256) {
            return sender.subscribe();
        }
        let sender = watch::Sender::new(Flight::default());
        let receiver = sender.subscribe();
        all.insert(sha256.to_owned(), sender.clone());
        drop(all);
        let entry = Entry { flights: self.clone(), sha256: sha256.to_owned(), sender };
        let fetching = fetch(entry.sender.clone());
        tokio::spawn(async move {
            let mut fetching = std::pin::pin!(fetching);
            let end = loop {
                tokio::select! {
                    biased;
                    end = &mut fetching => break end,
                    () = entry.sender.closed() => {
                        if entry.flights.abandon(&entry.sha256, &entry.sender) {
                            return;
                        }
                    }
                }
            };
            entry.flights.remove(&entry.sha256, &entry.sender);
            entry.sender.send_modify(|flight| flight.end = Some(end));
        });
        receiver
    }

    /// Removes a fetch if it has no receiver. Under the lock: a receiver may just join.
    fn abandon(&self, sha256: &str, sender: &watch::Sender<Flight>) -> bool {
        let mut all = self.0.lock();
        let is_abandoned = sender.receiver_count() == 0;
        if is_abandoned {
            take(&mut all, sha256, sender);
        }
        is_abandoned
    }

    fn remove(&self, sha256: &str, sender: &watch::Sender<Flight>) {
        take(&mut self.0.lock(), sha256, sender);
    }
}

/// Removes this fetch, and no later one of the same content.
fn take(all: &mut BTreeMap<String, watch::Sender<Flight>>, sha256: &str, sender: &watch::Sender<Flight>) {
    if all.get(sha256).is_some_and(|known| known.same_channel(sender)) {
        all.remove(sha256);
    }
}

/// A fetch. However it ends, also by a panic, those that wait for it learn that, and the next one may begin.
struct Entry {
    flights: Flights,
    sha256: String,
    sender: watch::Sender<Flight>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.flights.remove(&self.sha256, &self.sender);
        self.sender.send_if_modified(|flight| {
            let broke = flight.end.is_none();
            if broke {
                flight.end = Some(Err(NotFetched::Failed("the fetch broke off: see this node's log".to_owned())));
            }
            broke
        });
    }
}

/// Waits for the end of a fetch; `received` is called with each progress.
///
/// # Errors
/// See [`NotFetched`].
pub async fn landed(mut flight: watch::Receiver<Flight>, mut received: impl FnMut(u64)) -> Result<(), NotFetched> {
    loop {
        let now = flight.borrow_and_update().clone();
        received(now.received);
        if let Some(end) = now.end {
            return end;
        }
        if flight.changed().await.is_err() {
            return Err(NotFetched::Unreachable("the fetch was ended".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_content_is_fetched_once_for_all_who_wait() {
        let flights = Flights::default();
        let (done, wait) = oneshot::channel::<()>();
        let first = flights.join("a", |sender| async move {
            sender.send_modify(|flight| flight.received = 7);
            wait.await.map_err(|error| NotFetched::Failed(error.to_string()))
        });
        let second = flights.join("a", |_| async { Err(NotFetched::Nowhere("a second fetch".to_owned())) });
        let other = flights.join("b", |_| async { Err(NotFetched::Nowhere("gone".to_owned())) });
        assert_eq!(landed(other, |_| {}).await, Err(NotFetched::Nowhere("gone".to_owned())));
        done.send(()).unwrap();
        let mut last = 0;
        assert_eq!(landed(second, |bytes| last = bytes).await, Ok(()));
        assert_eq!((landed(first, |_| {}).await, last), (Ok(()), 7));
        assert!(flights.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_fetch_that_panics_ends_for_all_who_wait() {
        let flights = Flights::default();
        let (go, wait) = oneshot::channel::<()>();
        let first = flights.join("a", |_| async move {
            assert!(wait.await.is_err(), "a bug");
            Ok(())
        });
        let second = flights.join("a", |_| async { Ok(()) });
        go.send(()).unwrap();
        for flight in [first, second] {
            assert!(matches!(landed(flight, |_| {}).await, Err(NotFetched::Failed(_))));
        }
        assert!(flights.0.lock().is_empty());
        assert_eq!(landed(flights.join("a", |_| async { Ok(()) }), |_| {}).await, Ok(()));
    }

    #[tokio::test]
    async fn a_fetch_without_a_receiver_ends() {
        let flights = Flights::default();
        let (alive, ended) = oneshot::channel::<()>();
        let receiver = flights.join("a", |_| async move {
            let _alive = alive;
            std::future::pending().await
        });
        drop(receiver);
        // The sender is dropped with the fetch.
        assert!(ended.await.is_err());
        let again = flights.join("a", |_| async { Ok(()) });
        assert_eq!(landed(again, |_| {}).await, Ok(()));
    }
}
