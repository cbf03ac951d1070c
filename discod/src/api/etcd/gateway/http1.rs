//! Connections of HTTP/1.1, which carry the gateway and nothing else.
//!
//! The protocol that TLS negotiated distinguishes them, not their first bytes: a server that waits for those would
//! block nodes, which wait for the server's first bytes to know that they were admitted.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use disco_identity::ServerStream;
use futures_util::{Stream, StreamExt};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tower::ServiceExt;

use super::add_to;
use crate::api::etcd::EtcdService;

/// Time limit for the head of a request. It also closes connections that are idle between two requests.
const HEAD: Duration = Duration::from_secs(60);
/// Limit for the whole head, and for what is read ahead of a body.
const BUFFER: usize = 32 * 1024;

/// Passes on the connections of HTTP/2; answers those of HTTP/1.1 here, each in its own task.
pub(in crate::api::etcd) fn without_http1<S: Stream<Item = io::Result<ServerStream>>>(
    service: &EtcdService,
    incoming: S,
) -> impl Stream<Item = io::Result<ServerStream>> + use<S> {
    let router = add_to(service, Router::new());
    incoming.filter_map(move |stream| {
        let other = match stream {
            Ok(stream) if stream.speaks_http1() => {
                tokio::spawn(serve(stream, router.clone()));
                None
            }
            other => Some(other),
        };
        std::future::ready(other)
    })
}

async fn serve(stream: ServerStream, router: Router) {
    let info = stream.info().clone();
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        // As tonic does: guards read the sender from there.
        request.extensions_mut().insert(info.clone());
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "HTTP/1.1 connection ended with an error");
    }
}
