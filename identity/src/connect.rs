//! Connections to nodes.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::cluster_id::ClusterId;
use crate::tls::Identity;
use crate::verifier::Refusal;

/// The expected peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Any node of the cluster.
    AnyNode,
    /// This node and no other.
    Node(u64),
}

impl Expect {
    /// The host name for this in the node's certificate.
    #[must_use]
    pub fn server_name(self, cluster: &ClusterId) -> String {
        match self {
            Self::AnyNode => format!("any.{cluster}.disco"),
            Self::Node(id) => format!("node-{id}.{cluster}.disco"),
        }
    }
}

/// The window of a connection in windows of a stream. Half of it is also the budget of h2 for the overhead of small DATA
/// frames that were received and not read yet: many streams, or one with many small messages, must not exceed it, or the
/// connection is closed.
const WINDOWS: u32 = 16;

/// Limits of one channel.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// Time limit of TCP and TLS together. Default 3 s.
    pub connect_timeout: Duration,
    /// Time limit of each request until its response's head; `None` for channels that carry long streams. Default 10 s.
    pub request_timeout: Option<Duration>,
    /// Interval of keep-alives, also on an idle connection, and the time limit for their answer.
    /// Default 10 s.
    pub keep_alive: Duration,
    /// The flow-control window of a stream. It bounds memory, and throughput by window / round trip. Default 64 KiB.
    pub window: u32,
    /// Requests that wait for a place in the connection. Default 64.
    pub buffer: usize,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            request_timeout: Some(Duration::from_secs(10)),
            keep_alive: Duration::from_secs(10),
            window: 64 * 1024,
            buffer: 64,
        }
    }
}

/// A connection failed.
#[derive(Debug)]
pub struct ConnectError {
    address: String,
    step: &'static str,
    source: io::Error,
}

impl ConnectError {
    pub(crate) fn at(address: &str, step: &'static str) -> impl FnOnce(io::Error) -> Self {
        let address = address.to_owned();
        move |source| Self { address, step, source }
    }

    /// The cause.
    #[must_use]
    pub fn io(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {} {}", self.step, self.address)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Connects once, and returns when the other end has started HTTP/2. With TLS 1.3 only this proves that the peer accepted the
/// client: the handshake itself ends before the peer has seen the client's certificate.
///
/// # Errors
/// No answer in time, or the answer of another party.
pub async fn connect(
    address: &str,
    identity: &Identity,
    expect: Expect,
    limit: Duration,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let name = ServerName::try_from(expect.server_name(&identity.cluster_id()))
        .map_err(|error| ConnectError::at(address, "make a server name for")(io::Error::other(error)))?;
    let connector = TlsConnector::from(identity.client_config());
    let work = async {
        let stream = TcpStream::connect(address).await.map_err(ConnectError::at(address, "connect to"))?;
        stream.set_nodelay(true).map_err(ConnectError::at(address, "connect to"))?;
        let mut stream =
            connector.connect(name, stream).await.map_err(ConnectError::at(address, "establish TLS with"))?;
        let first = stream.fill_buf().await.map_err(ConnectError::at(address, "establish TLS with"))?;
        if first.is_empty() {
            let closed = io::Error::new(io::ErrorKind::ConnectionAborted, "it closed the connection at once");
            return Err(ConnectError::at(address, "establish TLS with")(closed));
        }
        Ok(stream)
    };
    let late =
        |_| ConnectError::at(address, "connect to")(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
    timeout(limit, work).await.map_err(late)?
}

/// A channel to the node at `address` (`IP:PORT` or `HOST:PORT`). It connects at the first use, and again after a lost
/// connection; each time with the identity's present certificate.
///
/// # Panics
/// Outside of a tokio runtime.
#[must_use]
pub fn channel(address: impl fmt::Display, identity: &Identity, expect: Expect, options: &ChannelOptions) -> Channel {
    let address = address.to_string();
    let identity = identity.clone();
    let limit = options.connect_timeout;
    // The scheme is `http`, as the connector adds TLS. Host names made of digits and hexadecimal are valid.
    let mut endpoint = Endpoint::from_shared(format!("http://{}", expect.server_name(&identity.cluster_id())))
        .expect("the name of a node is a valid host name")
        .connect_timeout(options.connect_timeout)
        .initial_stream_window_size(options.window)
        .initial_connection_window_size(options.window.saturating_mul(WINDOWS))
        .http2_keep_alive_interval(options.keep_alive)
        .keep_alive_timeout(options.keep_alive)
        .keep_alive_while_idle(true)
        .buffer_size(options.buffer);
    if let Some(limit) = options.request_timeout {
        endpoint = endpoint.timeout(limit);
    }
    endpoint.connect_with_connector_lazy(service_fn(move |_| {
        let (address, identity) = (address.clone(), identity.clone());
        async move { connect(&address, &identity, expect, limit).await.map(TokioIo::new) }
    }))
}

/// If an error is caused by a certificate that this or the other end refused, a sentence about it. Works for
/// any error with a chain of sources: [`ConnectError`], `tonic::Status`, `tonic::transport::Error`.
#[must_use]
pub fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    find(error, explain)
}

/// Which certificate has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The other end's.
    Theirs,
    /// This end's.
    Own,
}

/// If an error is caused by an expired certificate, which one. For the same errors as [`refusal`].
#[must_use]
pub fn expiry(error: &(dyn Error + 'static)) -> Option<Expiry> {
    use rustls::CertificateError as C;
    use rustls::Error as E;
    find(error, |error| match error {
        E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => Some(Expiry::Theirs),
        E::AlertReceived(AlertDescription::CertificateExpired) => Some(Expiry::Own),
        _ => None,
    })
}

/// The first result of `look` for the TLS errors in a chain of sources.
fn find<T>(error: &(dyn Error + 'static), look: fn(&rustls::Error) -> Option<T>) -> Option<T> {
    let mut next = Some(error);
    while let Some(error) = next {
        let found = error.downcast_ref::<rustls::Error>().and_then(look);
        // The error inside an `io::Error` is not its source.
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        let found = found.or_else(|| inner.and_then(|inner| find(inner, look)));
        if found.is_some() {
            return found;
        }
        next = error.source();
    }
    None
}

/// A duration as text.
fn shown(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn explain(error: &rustls::Error) -> Option<String> {
    use rustls::CertificateError as C;
    use rustls::Error as E;
    Some(match error {
        E::InvalidCertificate(C::Other(other)) => match other.0.downcast_ref::<Refusal>() {
            Some(refusal) => refusal.to_string(),
            None => "the other end's certificate is not valid".to_owned(),
        },
        E::InvalidCertificate(C::ExpiredContext { time, not_after }) => format!(
            "the other end's certificate has expired, {} ago by this machine's clock: it was not renewed, or this clock is ahead",
            shown(time.as_secs().saturating_sub(not_after.as_secs()))
        ),
        E::InvalidCertificate(C::Expired) => "the other end's certificate has expired".into(),
        E::InvalidCertificate(C::NotValidYetContext { time, not_before }) => format!(
            "the other end's certificate is not valid yet, only in {}: this machine's clock is behind, or the clock of the \
             certificate's issuer was ahead",
            shown(not_before.as_secs().saturating_sub(time.as_secs()))
        ),
        E::InvalidCertificate(C::NotValidYet) => {
            "the other end's certificate is not valid yet: one of the clocks is wrong".into()
        }
        E::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => {
            "the other end's certificate does not belong to this cluster".into()
        }
        E::InvalidCertificate(_) => "the other end's certificate is not valid".into(),
        E::AlertReceived(AlertDescription::CertificateExpired) => {
            // TLS has one alert for both.
            "the other end refused this certificate, as it has expired or is not valid yet by its clock".into()
        }
        E::AlertReceived(
            AlertDescription::UnknownCA | AlertDescription::DecryptError | AlertDescription::BadCertificate,
        ) => "the other end refused this certificate, as it does not belong to its cluster".into(),
        E::AlertReceived(
            AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateRequired
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied,
        ) => "the other end refused this certificate".into(),
        _ => return None,
    })
}
