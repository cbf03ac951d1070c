//! Connections, plain and over TLS.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::names;
use crate::{ErrorCode, HostError};

/// Connects to `host:port`, trying all addresses of the name.
pub(super) async fn tcp(address: &str) -> Result<TcpStream, HostError> {
    let failed = |error: std::io::Error| io_error(&format!("connect to {address}"), &error);
    let found = names::addresses(address).await.map_err(failed)?;
    let stream = TcpStream::connect(found.as_slice()).await.map_err(failed)?;
    // Requests are small and wait for answers.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Starts TLS over a connection to `host`, whose certificate must have that name.
pub(super) async fn tls(stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, HostError> {
    let host = host.trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| HostError::invalid(format!("`{host}` is not a valid TLS server name")))?;
    TlsConnector::from(config()?)
        .connect(name, stream)
        .await
        .map_err(|error| HostError::new(format!("TLS with {host}: {error}")).with_code(ErrorCode::Tls))
}

/// Made at the first use, since most scripts do not need it: the roots that browsers trust, and those of `SSL_CERT_FILE`.
fn config() -> Result<Arc<ClientConfig>, HostError> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let failed = |what: String| HostError::new(what).with_code(ErrorCode::Tls);
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        let shown = path.display();
        let certificates = CertificateDer::pem_file_iter(&path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(format!("cannot read SSL_CERT_FILE ({shown}): {error}")))?;
        roots.add_parsable_certificates(certificates);
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

/// An I/O error with the code that other engines use.
pub(super) fn io_error(what: &str, error: &io::Error) -> HostError {
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => ErrorCode::ConnectionReset,
        io::ErrorKind::ConnectionAborted => ErrorCode::ConnectionAborted,
        io::ErrorKind::TimedOut => ErrorCode::ConnectionTimedOut,
        io::ErrorKind::HostUnreachable => ErrorCode::HostUnreachable,
        io::ErrorKind::NetworkUnreachable => ErrorCode::NetworkUnreachable,
        io::ErrorKind::InvalidInput => ErrorCode::InvalidAddress,
        _ if error.raw_os_error().is_none() => ErrorCode::NameNotFound,
        _ => ErrorCode::Io,
    };
    HostError::new(format!("{what}: {error}")).with_code(code)
}
