//! Probes of a task: `Err` says why it is not healthy.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use disco_store::typed::{HealthSpec, ProbeSpec};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::driver::{Check, Driver, Order};

/// Bytes of an answer's body that are read, to show why a task is not healthy.
const BODY: usize = 4_096;
/// Characters of a reason.
const REASON: usize = 300;

/// Checks a running task once.
pub(super) async fn probe(driver: &dyn Driver, order: &Order, health: &HealthSpec) -> Result<(), String> {
    let limit = Duration::from_millis(health.timeout_ms.max(1));
    let result = match &health.probe {
        ProbeSpec::Http(path) => {
            // A query may have a secret in it.
            let what = format!("GET {}", path.split_once('?').map_or(path.as_str(), |(path, _)| path));
            within(limit, &what, http(order, path)).await
        }
        ProbeSpec::Tcp(target) => {
            let what = format!("connection to port {target}");
            within(limit, &what, tcp(order, *target)).await
        }
        ProbeSpec::Command(words) => {
            let name = format!("`{}`", words.first().map_or("", String::as_str));
            driver.check(order, Check { name, words: words.clone(), limit }).await
        }
        ProbeSpec::Shell(line) => {
            let words = ["/bin/sh", "-c", line].map(str::to_owned).into();
            driver.check(order, Check { name: "the shell command".to_owned(), words, limit }).await
        }
    };
    result.map_err(|why| shown(&why))
}

async fn within(limit: Duration, what: &str, probe: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let result = timeout(limit, probe).await.unwrap_or_else(|_| Err(format!("timed out after {limit:?}")));
    result.map_err(|why| format!("{what}: {why}"))
}

/// In one line, and not too long.
fn shown(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = words.chars().filter(|sign| !sign.is_control());
    let mut shown: String = plain.take(REASON).collect();
    if words.chars().count() > REASON {
        shown.push('…');
    }
    shown
}

async fn connect(order: &Order, number: u16) -> Result<TcpStream, String> {
    let at = SocketAddr::new(order.address, number);
    TcpStream::connect(at).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => "refused".to_owned(),
        _ => error.to_string(),
    })
}

async fn tcp(order: &Order, target: u16) -> Result<(), String> {
    let port = order.task.ports.iter().find(|port| port.target == target && port.protocol == "tcp");
    let port = port.ok_or_else(|| "the service has no such port".to_owned())?;
    connect(order, port.number).await.map(drop)
}

async fn http(order: &Order, path: &str) -> Result<(), String> {
    let port = order.task.ports.iter().find(|port| port.protocol == "tcp");
    let port = port.ok_or_else(|| "the service has no port".to_owned())?.number;
    let stream = connect(order, port).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = http::Request::get(path)
        .header("host", SocketAddr::new(order.address, port).to_string())
        .header("user-agent", "disco")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        // A body that is too long or breaks off is not shown.
        let body = Limited::new(response.into_body(), BODY).collect().await;
        let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        Err(if body.trim().is_empty() { status.to_string() } else { format!("{status}: {body}") })
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // It may end with the last byte of the answer.
        _ended = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        assert_eq!(shown("GET /: 503\n\n  a\tb\u{7}"), "GET /: 503 a b");
        assert_eq!(shown(&"é".repeat(900)).chars().count(), REASON + 1);
    }
}
