//! A long answer that is produced while it is sent, on a thread that may block.

use std::io;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::Answers;

/// Messages that may be queued for a slow client.
const UNDER_WAY: usize = 4;
/// A client that reads nothing for this long counts as disconnected.
const SLOW: Duration = Duration::from_secs(30);

/// Sends messages to the client.
///
/// The thread waits without a timer, since it may do so while the runtime ends, when a timer would panic. A task beside
/// it counts the time.
pub(super) struct Outgoing<T> {
    sender: mpsc::Sender<Result<T, Status>>,
    runtime: Handle,
    /// Changes with every message that was queued.
    progress: watch::Sender<()>,
    /// Cancelled when no message was queued for too long.
    given_up: CancellationToken,
}

impl<T: Send + 'static> Outgoing<T> {
    /// The stream of the messages that `make` sends. If `make` fails, the stream ends with `what` and the reason.
    pub(super) fn stream(
        what: &'static str,
        make: impl FnOnce(&Self) -> io::Result<()> + Send + 'static,
    ) -> Answers<T> {
        Self::stream_within(SLOW, what, make)
    }

    fn stream_within(
        slow: Duration,
        what: &'static str,
        make: impl FnOnce(&Self) -> io::Result<()> + Send + 'static,
    ) -> Answers<T> {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let (progress, mut seen) = watch::channel(());
        let given_up = CancellationToken::new();
        let giving_up = given_up.clone();
        tokio::spawn(async move {
            while let Ok(changed) = tokio::time::timeout(slow, seen.changed()).await {
                if changed.is_err() {
                    // The stream has ended.
                    return;
                }
            }
            giving_up.cancel();
        });
        let outgoing = Self { sender, runtime: Handle::current(), progress, given_up };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = make(&outgoing) {
                tracing::debug!(%error, what);
                // A client that has disconnected receives nothing.
                let _ = outgoing.transmit(Err(Status::unavailable(format!("{what}: {error}"))));
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }

    /// Sends the next message once the client has read the previous ones.
    ///
    /// # Errors
    /// The client has disconnected or has stopped reading.
    pub(super) fn send(&self, message: T) -> io::Result<()> {
        self.transmit(Ok(message))
    }

    fn transmit(&self, message: Result<T, Status>) -> io::Result<()> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                sent = self.sender.send(message) => {
                    sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client has disconnected"))
                }
                () = self.given_up.cancelled() => {
                    Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stopped reading"))
                }
            }
        })?;
        self.progress.send_replace(());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::sync::oneshot;

    use super::*;

    /// Sends this many messages and reports how that ended.
    fn counting(
        slow: Duration,
        count: usize,
        end: io::Result<()>,
    ) -> (Answers<usize>, oneshot::Receiver<io::Result<()>>) {
        let (done, ended) = oneshot::channel();
        let stream = Outgoing::stream_within(slow, "not sent", move |outgoing| {
            let sent = (0..count).try_for_each(|number| outgoing.send(number));
            let result = sent.as_ref().copied().map_err(|error| io::Error::from(error.kind()));
            let _ = done.send(result);
            sent.and(end)
        });
        (stream, ended)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failure_follows_what_was_sent() {
        let (stream, _) = counting(SLOW, 3 * UNDER_WAY, Err(io::Error::other("the disk is broken")));
        let all: Vec<_> = stream.collect().await;
        let (last, sent) = all.split_last().unwrap();
        assert!(sent.iter().map(|number| *number.as_ref().unwrap()).eq(0..3 * UNDER_WAY));
        assert_eq!(last.as_ref().unwrap_err().message(), "not sent: the disk is broken");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_disconnects_or_stops_reading_ends_the_wait() {
        let (stream, ended) = counting(SLOW, 3 * UNDER_WAY, Ok(()));
        drop(stream);
        assert_eq!(ended.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let (_stream, ended) = counting(Duration::from_millis(50), 3 * UNDER_WAY, Ok(()));
        assert_eq!(ended.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// A panic there would end the process in an unrequested way.
    #[test]
    fn a_runtime_that_ends_is_left_in_peace() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stream, ended) = runtime.block_on(async {
            let (mut stream, ended) = counting(SLOW, 3 * UNDER_WAY, Ok(()));
            // The thread is running.
            assert_eq!(stream.next().await.unwrap().unwrap(), 0);
            (stream, ended)
        });
        runtime.spawn(async move {
            let _stream = stream;
            std::future::pending::<()>().await;
        });
        drop(runtime);
        assert_eq!(ended.blocking_recv().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
