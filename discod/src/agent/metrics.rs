//! Serves this node's metrics by HTTP: always at a socket in the data folder, which only the daemon's own user can open, and
//! by `--metrics-listen` at an address, for everyone who reaches it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use crate::cluster::metrics;
use crate::node::Node;

/// The socket, in the data folder.
const SOCKET: &str = "metrics.sock";
/// Connections at once to the socket, and to the address; the next ones wait. Clients that never read block only their own.
const CONNECTIONS: usize = 4;
/// Time for a connection from its first byte to its last answer: a scraper that keeps it open connects again.
const LIMIT: Duration = Duration::from_secs(120);
/// Time limit for the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// Limit for the whole head.
const BUFFER: usize = 16 * 1024;
/// Pause after a connection that could not be accepted, such as for want of file descriptors.
const AGAIN: Duration = Duration::from_secs(1);

/// Serves them until the process ends.
pub(super) async fn run(node: Node) {
    let address = node.args().metrics_listen;
    let (own, others) = (places(), places());
    tokio::join!(at_socket(&node, &own), at_address(&node, &others, address));
}

fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CONNECTIONS))
}

async fn at_socket(node: &Node, places: &Arc<Semaphore>) {
    let folder = node.home().path();
    let listener = match listen(folder) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, folder = %folder.display(), "cannot serve metrics at `{SOCKET}`"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve(node, places, stream).await,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Through the descriptor of the folder, as an address has room for 107 bytes (unix(7)).
fn listen(folder: &Path) -> io::Result<UnixListener> {
    let opened = fs_err::File::open(folder)?;
    match fs_err::remove_file(folder.join(SOCKET)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Of an earlier daemon; no other one runs, as the log is open here.
        other => other?,
    }
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()))?;
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs_err::set_permissions(folder.join(SOCKET), own)?;
    Ok(listener)
}

async fn at_address(node: &Node, places: &Arc<Semaphore>, address: Option<SocketAddr>) {
    let Some(address) = address else { return };
    let mut logged = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if !logged => {
                logged = true;
                tracing::error!(%error, %address, "cannot serve metrics; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    };
    tracing::info!(%address, "serving metrics");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve(node, places, stream).await,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Serves a connection beside others, once there is a place for it.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(node: &Node, places: &Arc<Semaphore>, stream: S) {
    let Ok(place) = places.clone().acquire_owned().await else { return };
    let node = node.clone();
    tokio::spawn(async move {
        let _place = place;
        let service = service_fn(move |request| {
            let node = node.clone();
            async move { Ok::<_, Infallible>(answer(&node, &request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        if let Ok(Err(error)) = tokio::time::timeout(LIMIT, connection).await {
            tracing::debug!(%error, "a connection for metrics ended with an error");
        }
    });
}

async fn answer<B>(node: &Node, request: &Request<B>) -> Response<Full<Bytes>> {
    let plain = "text/plain; charset=utf-8";
    if request.uri().path() != "/metrics" {
        return response(StatusCode::NOT_FOUND, plain, "the metrics are at /metrics\n".to_owned());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = response(StatusCode::METHOD_NOT_ALLOWED, plain, "expected GET\n".to_owned());
        response.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match metrics::text(node).await {
        Ok(text) => response(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, plain, format!("{error}\n")),
    }
}

fn response(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
