//! A long answer that is made while it is sent, on a thread that may wait.

use std::io;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Answers;

/// Messages that may wait for a slow client.
const UNDER_WAY: usize = 4;
/// A client that takes nothing for so long has gone.
const SLOW: Duration = Duration::from_secs(30);

/// The way to the client.
pub(super) struct Outgoing<T> {
    sender: mpsc::Sender<Result<T, Status>>,
    runtime: Handle,
}

impl<T: Send + 'static> Outgoing<T> {
    /// The stream of what `make` sends. Where that fails, the stream ends with `what` and why.
    pub(super) fn stream(
        what: &'static str,
        make: impl FnOnce(&Self) -> io::Result<()> + Send + 'static,
    ) -> Answers<T> {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let outgoing = Self { sender, runtime: Handle::current() };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = make(&outgoing) {
                tracing::debug!(%error, what);
                // Whoever has gone away hears nothing.
                let _ = outgoing.transmit(Err(Status::unavailable(format!("{what}: {error}"))));
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }

    /// Sends the next message, when the client has taken what came before.
    ///
    /// # Errors
    /// The client has gone, or takes nothing any more.
    pub(super) fn send(&self, message: T) -> io::Result<()> {
        self.transmit(Ok(message))
    }

    fn transmit(&self, message: Result<T, Status>) -> io::Result<()> {
        let sent = self.runtime.block_on(tokio::time::timeout(SLOW, self.sender.send(message)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client has gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing any more")),
        }
    }
}
