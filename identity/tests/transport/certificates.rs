//! Whom a handshake lets in.

use std::sync::Arc;
use std::time::Duration;

use disco_identity::{ClusterId, Credentials, Expect, Identity, Role, Validity, connect, refusal, unix_now};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{HOUR, Running, World, ask, chain, client, serve};

const PAST: Validity = Validity { not_before: 1_000_000_000, not_after: 1_100_000_000 };

fn future() -> Validity {
    Validity { not_before: unix_now() + 1000, not_after: unix_now() + 2000 }
}

/// Why node 2 and node 1 do not come together, as seen by the one that asks.
async fn failure(server: &Identity, asking: &Identity, expect: Expect) -> String {
    let running = serve(server).await;
    let status = ask(&mut client(&running, asking, expect)).await.unwrap_err();
    refusal(&status).unwrap_or_else(|| panic!("not reported as a refusal: {}", chain(&status)))
}

/// A leaf with these names, by the world's signing key, as someone who has stolen it could make it.
fn forged(world: &World, uris: &[String]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI(uri.clone().try_into().unwrap())).collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let signing_key = KeyPair::from_pem(&world.signer.key_pem()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(world.signer.certificate_pem(), signing_key).unwrap();
    let chain = params.signed_by(&key, &issuer).unwrap().pem() + world.signer.certificate_pem();
    (chain, key.serialize_pem())
}

/// Another program's TLS: it knows the cluster's root, and nothing of its rules.
fn foreign(world: &World, version: &'static SupportedProtocolVersion, own: Option<(&str, &str)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(world.root.certificate_der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key = KeyPair::from_pem(key).unwrap().into();
            builder.with_client_auth_cert(disco_identity::chain_from_pem(chain).unwrap(), key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

#[tokio::test]
async fn other_clusters_are_refused_in_both_directions() {
    let (ours, theirs) = (World::new(), World::new());
    let refused = failure(&ours.node(1), &theirs.node(2), Expect::Node(1)).await;
    assert_eq!(refused, "the other end's certificate does not belong to this cluster");

    // One that trusts our root, but has its own certificate from elsewhere.
    let key = disco_identity::PrivateKey::generate().unwrap();
    let request = key.signing_request().unwrap();
    let chain = theirs.signer.issue_node(&request, 2, &[], Validity::lasting(HOUR)).unwrap();
    let running = serve(&ours.node(1)).await;
    let error = raw_request(&running, &ours, foreign(&ours, &TLS13, Some((&chain, &key.to_pem())))).await;
    assert_eq!(error, "received fatal alert: UnknownCA");
}

#[tokio::test]
async fn the_cluster_id_in_the_name_counts_as_well() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    for uri in [Role::Node(2).uri(&ClusterId::random()), "disco://x/node/2".into(), "https://example.com/".into()] {
        let (chain, key) = forged(&world, &[uri]);
        let error = raw_request(&running, &world, foreign(&world, &TLS13, Some((&chain, &key)))).await;
        assert_eq!(error, "received fatal alert: CertificateUnknown");
    }
}

#[tokio::test]
async fn a_stolen_signing_key_makes_no_operator() {
    let world = World::new();
    let name = Role::Operator("eve".into()).uri(world.root.cluster_id());
    let (chain, key) = forged(&world, &[name]);
    let eve = Credentials::from_pem(world.root.certificate_pem(), &chain, &key).unwrap();
    let eve = Identity::new(eve).unwrap();
    let refused = failure(&world.node(1), &eve, Expect::Node(1)).await;
    assert!(refused.starts_with("the other end refused this certificate"), "{refused}");
}

#[test]
fn a_certificate_with_two_names_is_none() {
    let world = World::new();
    let id = world.root.cluster_id().clone();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    for role in [Role::Node(1), Role::Node(2)] {
        params.subject_alt_names.push(SanType::URI(role.uri(&id).try_into().unwrap()));
    }
    let certificate = params.self_signed(&key).unwrap();
    let error = disco_identity::PeerIdentity::from_der(certificate.der()).unwrap_err();
    assert_eq!(error.to_string(), "the certificate has 2 URI names instead of one");
}

#[tokio::test]
async fn expired_and_future_certificates_are_refused_in_both_directions() {
    let world = World::new();
    let good = world.node(1);
    let expired = Identity::new(world.node_credentials(2, PAST)).unwrap();
    let early = Identity::new(world.node_credentials(2, future())).unwrap();
    let by_server = failure(&good, &expired, Expect::Node(1)).await;
    assert_eq!(by_server, "the other end refused this certificate, as it has expired or is not valid yet by its clock");
    let by_client = failure(&expired, &good, Expect::Node(2)).await;
    // Whose clock it may be, and by how much.
    assert!(
        by_client.starts_with("the other end's certificate has expired, ") && by_client.contains("clock"),
        "{by_client}"
    );
    assert!(failure(&good, &early, Expect::Node(1)).await.starts_with("the other end refused this certificate"));
    assert!(failure(&early, &good, Expect::Node(2)).await.contains("not valid yet"));
}

#[tokio::test]
async fn another_node_than_the_one_meant_is_told() {
    let world = World::new();
    let reason = failure(&world.node(1), &world.node(3), Expect::Node(2)).await;
    assert_eq!(reason, "node/1 answered instead of node/2");
}

#[tokio::test]
async fn without_a_certificate_nobody_gets_in() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    for version in [&TLS12, &TLS13] {
        let error = raw_request(&running, &world, foreign(&world, version, None)).await;
        assert_eq!(error, "received fatal alert: CertificateRequired");
    }
}

#[tokio::test]
async fn tls_1_2_clients_are_served() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    let key = disco_identity::PrivateKey::generate().unwrap();
    let chain = world.root.issue_operator(&key.signing_request().unwrap(), "old", Validity::lasting(HOUR)).unwrap();
    let config = foreign(&world, &TLS12, Some((&chain, &key.to_pem())));
    let stream = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from(Expect::Node(1).server_name(world.root.cluster_id())).unwrap();
    let mut stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    // The first frame of an HTTP/2 server is its settings.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4);
}

#[tokio::test]
async fn credentials_are_exchanged_while_the_server_runs() {
    let world = World::new();
    let (server, asking) = (world.node(1), world.node(2));
    let running = serve(&server).await;
    let mut before = client(&running, &asking, Expect::Node(1));
    let old = asking.own().serial;
    assert_eq!(ask(&mut before).await.unwrap(), format!("node/2 {old}"));
    let first = peer_serial(&running.address.to_string(), &asking).await;
    assert_eq!(first, server.own().serial);

    server.replace(world.node_credentials(1, Validity::lasting(HOUR))).unwrap();
    asking.replace(world.node_credentials(2, Validity::lasting(HOUR))).unwrap();
    let second = peer_serial(&running.address.to_string(), &asking).await;
    assert_eq!(second, server.own().serial);
    assert_ne!(first, second);
    let mut after = client(&running, &asking, Expect::Node(1));
    assert_eq!(ask(&mut after).await.unwrap(), format!("node/2 {}", asking.own().serial));
    assert_ne!(asking.own().serial, old);
    // What was open goes on with what it was opened with.
    assert_eq!(ask(&mut before).await.unwrap(), format!("node/2 {old}"));
}

#[test]
fn nobody_elses_credentials_can_be_taken_up() {
    let (world, other) = (World::new(), World::new());
    let identity = world.node(1);
    let validity = Validity::lasting(HOUR);
    let error = identity.replace(world.node_credentials(2, validity)).unwrap_err().to_string();
    assert!(error.contains("node/2` instead of `"), "{error}");
    assert!(identity.replace(other.node_credentials(1, validity)).is_err());
    assert_eq!(identity.own().role, Role::Node(1));
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = connect(&address, &world.node(1), Expect::AnyNode, Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {address}"));
    assert_eq!(error.io().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(refusal(&error), None);
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_given_up() {
    let world = World::new();
    // Accepts nothing: the system completes the connection, the handshake gets no answer.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = connect(&address, &world.node(1), Expect::AnyNode, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(error.io().kind(), std::io::ErrorKind::TimedOut);
}

/// Serial number of the certificate that the server at `address` presents.
async fn peer_serial(address: &str, identity: &Identity) -> String {
    let stream = connect(address, identity, Expect::Node(1), Duration::from_secs(30)).await.unwrap();
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    disco_identity::PeerIdentity::from_der(&leaf).unwrap().serial
}

/// Connects to node 1 with a foreign configuration, sends something, and returns the error.
async fn raw_request(running: &Running, world: &World, config: Arc<ClientConfig>) -> String {
    let stream = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from(Expect::Node(1).server_name(world.root.cluster_id())).unwrap();
    let mut stream = match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => stream,
        Err(error) => return error.to_string(),
    };
    let mut byte = [0; 1];
    match stream.read(&mut byte).await {
        Ok(read) => panic!("was let in, and read {read} bytes"),
        Err(error) => error.to_string(),
    }
}
