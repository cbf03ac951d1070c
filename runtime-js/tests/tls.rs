//! `fetch` over TLS: a certificate that is trusted, and those that are not.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

async fn serve(certificate: CertificateDer<'static>, key: &rcgen::KeyPair) -> SocketAddr {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn certificates_are_checked() {
    let trusted = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let wrong_name = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, trusted.cert.pem() + &wrong_name.cert.pem()).unwrap();
    #[expect(unsafe_code, reason = "the variable is what is tested")]
    // SAFETY: this file has one test, and no thread reads the environment yet.
    unsafe {
        std::env::set_var("SSL_CERT_FILE", &file);
    }
    let bench = bench();
    let fetch = async |server: rcgen::CertifiedKey<rcgen::KeyPair>| {
        let address = serve(server.cert.der().clone(), &server.signing_key).await;
        let code = format!(
            "try {{ return await (await fetch('https://{address}/')).text() }} catch (error) {{ return error.code }}"
        );
        bench.eval(&code).await.unwrap()
    };
    assert_eq!(fetch(trusted).await, json!("ok"));
    assert_eq!(fetch(other).await, json!("TLS"));
    assert_eq!(fetch(wrong_name).await, json!("TLS"));
}
