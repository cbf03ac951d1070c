//! Accepts connections.
//!
//! One task accepts, and starts a short task for each handshake. A handshake that is not finished in time, or is not TLS, ends
//! with its task; when too many are pending, the oldest is dropped, as an honest handshake takes milliseconds.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;
use tracing::{debug, info, warn};

use crate::connect::refusal;
use crate::refusals::Refusals;
use crate::server_stream::ServerStream;
use crate::tls::Identity;

/// Pause after `accept` failed, which happens when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a failure counts: one connection may be accepted meanwhile, as another one ends.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// Bounds of a listener.
#[derive(Debug, Clone)]
pub struct ListenLimits {
    /// Time limit from the TCP connection to the end of its handshake. Default 5 s.
    pub handshake: Duration,
    /// Concurrent handshakes; one more ends the oldest. Default 64.
    pub pending: usize,
    /// Connections with a finished handshake; one more is closed at once. Default 1024.
    pub connections: usize,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(5), pending: 64, connections: 1024 }
    }
}

/// Whether `accept` fails, as it does when no file descriptors are left. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Accepting(Arc<Mutex<Option<(Instant, String)>>>);

impl Accepting {
    /// The last error of `accept`, if it was within the last seconds: `accept` is retried all the time.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|(at, _)| at.elapsed() < REFUSED_FOR).map(|(_, why)| why)
    }

    fn note(&self, error: &io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), error.to_string()));
    }
}

/// The accepted connections, for `serve_with_incoming`. It never ends and never fails. Dropping it closes the port.
#[derive(Debug)]
pub struct Incoming {
    /// Boxed: the queue allocates space for 32 of them, and one has 1.5 KB.
    accepted: mpsc::Receiver<Box<ServerStream>>,
    task: JoinHandle<()>,
    accepting: Accepting,
}

impl Incoming {
    /// Whether connections can be accepted.
    #[must_use]
    pub fn accepting(&self) -> Accepting {
        self.accepting.clone()
    }
}

impl Stream for Incoming {
    type Item = io::Result<ServerStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(cx).map(|accepted| accepted.map(|stream| Ok(*stream)))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections whose peer has a certificate of the same cluster.
///
/// # Panics
/// Outside of a tokio runtime.
#[must_use]
pub fn incoming(listener: TcpListener, identity: &Identity, limits: ListenLimits) -> Incoming {
    // The server takes connections at once; the queue is bounded anyway.
    let (sender, accepted) = mpsc::channel(16);
    let acceptor = Acceptor {
        tls: TlsAcceptor::from(identity.server_config()),
        refusals: identity.refusals(),
        places: Arc::new(Semaphore::new(limits.connections)),
        sender,
        limit: limits.handshake,
    };
    let accepting = Accepting::default();
    let task = tokio::spawn(accept(listener, acceptor, limits.pending, accepting.clone()));
    Incoming { accepted, task, accepting }
}

async fn accept(listener: TcpListener, acceptor: Acceptor, most: usize, accepting: Accepting) {
    let mut pending = Pending::default();
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                pending.make_room(most);
                pending.0.push_back(tokio::spawn(acceptor.clone().handshake(stream, remote)).abort_handle());
            }
            Err(error) if is_about_one_connection(&error) => {
                debug!(%error, "a connection ended before it was accepted")
            }
            Err(error) => {
                if accepting.refused().is_none() {
                    warn!(%error, "cannot accept connections");
                }
                accepting.note(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Handshakes under way, oldest first. They end with the listener.
#[derive(Default)]
struct Pending(VecDeque<AbortHandle>);

impl Pending {
    fn make_room(&mut self, most: usize) {
        if self.0.len() >= most {
            self.0.retain(|handshake| !handshake.is_finished());
        }
        while self.0.len() >= most {
            let Some(oldest) = self.0.pop_front() else { break };
            oldest.abort();
            debug!("too many handshakes at once: the oldest was ended");
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        for handshake in &self.0 {
            handshake.abort();
        }
    }
}

#[derive(Clone)]
struct Acceptor {
    tls: TlsAcceptor,
    refusals: Arc<Refusals>,
    places: Arc<Semaphore>,
    sender: mpsc::Sender<Box<ServerStream>>,
    limit: Duration,
}

impl Acceptor {
    async fn handshake(self, stream: TcpStream, remote: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%remote, %error, "a connection ended at once");
            return;
        }
        let stream = match timeout(self.limit, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                // Random traffic is not worth a report; a refused certificate is, as its owner will look for the reason.
                match refusal(&error) {
                    Some(reason) => info!(%remote, reason, "a connection was refused"),
                    None => debug!(%remote, %error, "a connection was no TLS connection"),
                }
                return;
            }
            Err(_) => {
                debug!(%remote, "a handshake took too long");
                return;
            }
        };
        let Ok(place) = self.places.try_acquire_owned() else {
            warn!(%remote, "too many connections: one more was closed");
            return;
        };
        match ServerStream::new(stream, remote, self.refusals, place) {
            Ok(mut stream) => match timeout(self.limit, stream.first_bytes()).await {
                // The receiver is gone when the server is about to stop.
                Ok(Ok(())) => drop(self.sender.send(Box::new(stream)).await),
                Ok(Err(error)) => debug!(%remote, %error, "a connection ended before its first request"),
                Err(_) => debug!(%remote, "a client without ALPN did not say which protocol it speaks"),
            },
            Err(error) => debug!(%remote, %error, "a connection without a usable certificate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_is_kept_for_whoever_asks() {
        let accepting = Accepting::default();
        assert_eq!(accepting.refused(), None);
        accepting.clone().note(&io::Error::from_raw_os_error(24));
        assert!(accepting.refused().is_some_and(|why| why.contains("open files")));
    }
}
