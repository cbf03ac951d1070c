//! Unauthorised clients get nothing, and the cluster is not affected.

mod tokens;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use disco_identity::{
    Authority, ClusterId, Credentials, Expect, Identity, PrivateKey, Role, Validity, refusal, unix_now,
};
use disco_proto::v1::{
    Empty, InstallSigningKeyRequest, ProposeRequest, RaftMessage, ReportEndRequest, ReportRequest, VoterSecrets,
};
use disco_tests::{Api, RawCluster, SOON, Shared, Turn, block, causes};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tonic::Code;

static CLUSTER: Shared<RawCluster> = Shared::new(|| {
    // Also for TLS connections that the tests open themselves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    RawCluster::with_nodes(3)
});

/// The cluster, which must be unchanged at the end of the test.
struct Unharmed {
    cluster: Turn<RawCluster>,
    pids: Vec<u32>,
}

impl std::ops::Deref for Unharmed {
    type Target = RawCluster;

    fn deref(&self) -> &RawCluster {
        &self.cluster
    }
}

fn cluster() -> Unharmed {
    let cluster = CLUSTER.take();
    let status = cluster.wait_for_members(3);
    Unharmed { pids: status.nodes.iter().map(|node| node.pid).collect(), cluster }
}

impl Drop for Unharmed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let status = self.cluster.wait_for_members(3);
            assert_eq!(status.nodes.iter().map(|node| node.pid).collect::<Vec<_>>(), self.pids, "a node was restarted");
            self.cluster.operator().put(&self.cluster.addresses(), "still", "here", SOON).unwrap();
        }
    }
}

/// A node's answer to bytes that are no TLS.
fn answer_to(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // The node may have closed the connection already.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => answer,
        Err(error) => panic!("the connection is still open after {SOON:?}: {error}"),
    }
}

/// No bytes, or a TLS alert.
fn says_nothing(answer: &[u8]) -> bool {
    answer.is_empty() || answer[0] == 21 && answer.len() <= 32
}

#[test]
fn a_connection_without_tls_gets_no_answer_and_is_closed() {
    let cluster = cluster();
    for address in cluster.addresses() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            b"\n",
            b"",
        ] {
            let answer = answer_to(&address, bytes);
            assert!(says_nothing(&answer), "{address} answered {:?}", String::from_utf8_lossy(&answer));
        }
    }
}

#[test]
fn random_bytes_do_no_harm() {
    let cluster = cluster();
    let address = &cluster.addresses()[0];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        // xorshift: the same bytes in each run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for round in 0..60_usize {
        let mut bytes: Vec<u8> = (0..1 << (round % 15)).map(|_| random()).collect();
        if round % 2 == 0 {
            // Bytes that begin as a handshake get further.
            let head = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
            let length = head.len().min(bytes.len());
            bytes[..length].copy_from_slice(&head[..length]);
        }
        // The node waits for the rest of a possible message, so the writing end is closed.
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(says_nothing(&answer), "round {round}: {answer:?}");
    }
}

#[test]
fn many_silent_connections_block_no_client() {
    let cluster = cluster();
    let address = &cluster.addresses()[0];
    let idle: Vec<_> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    let operator = cluster.operator();
    operator.status(address).unwrap();
    cluster.wait_for_members(3);
    drop(idle);
}

#[test]
fn an_oversized_message_is_refused() {
    let cluster = cluster();
    let operator = cluster.operator();
    for address in cluster.addresses() {
        let before = operator.status(&address).unwrap();
        let huge = Api::put_command("huge", &"x".repeat(48 << 20));
        let status = operator.propose(&address, huge).unwrap_err();
        assert!(
            matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument | Code::Unknown),
            "{status:?}"
        );
        let raft = RaftMessage { from: 1, to: 1, payload: vec![0; 48 << 20].into(), ..RaftMessage::default() };
        assert!(block(operator.raft(&address).append_entries(raft)).is_err());
        let after = operator.status(&address).unwrap();
        for (before, after) in before.nodes.iter().zip(&after.nodes) {
            assert!(
                after.rss_kb < before.rss_kb + 40_000,
                "node {} grew from {} to {} kB",
                after.id,
                before.rss_kb,
                after.rss_kb
            );
        }
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let cluster = cluster();
    let mut roots = RootCertStore::empty();
    roots.add(cluster.authority.certificate_der().clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = Expect::AnyNode.server_name(cluster.authority.cluster_id()).try_into().unwrap();
    let address = cluster.addresses()[0].clone();
    let error = block(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .ok();
        let mut answer = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
        read.map(|_| answer)
    });
    assert!(matches!(&error, Err(error) if error.to_string().contains("CertificateRequired")), "{error:?}");
}

#[track_caller]
fn kept_out(cluster: &RawCluster, api: &Api) {
    for address in cluster.addresses() {
        let status = api.status(&address).unwrap_err();
        assert!(refusal(&status).is_some(), "not refused by its certificate: {}", causes(&status));
    }
}

#[test]
fn foreign_and_expired_certificates_are_refused() {
    let cluster = cluster();
    let hour = Duration::from_secs(3600);
    let past = Validity { not_before: 1_000_000_000, not_after: 1_100_000_000 };
    let future = Validity { not_before: unix_now() + 10_000, not_after: unix_now() + 20_000 };
    kept_out(&cluster, &cluster.operator_named("late", past));
    kept_out(&cluster, &cluster.operator_named("early", future));
    kept_out(&cluster, &cluster.as_node(1, past));
    // Another cluster's operator, also one that has our root, and so accepts our nodes.
    let other = Authority::new_root(&ClusterId::random(), "other").unwrap();
    let key = PrivateKey::generate().unwrap();
    let request = key.signing_request().unwrap();
    let chain = other.issue_operator(&request, "eve", Validity::lasting(hour)).unwrap();
    for root in [other.certificate_pem(), cluster.authority.certificate_pem()] {
        let eve = Credentials::from_pem(root, &chain, &key.to_pem()).unwrap();
        kept_out(&cluster, &Api::new(Identity::new(eve).unwrap()));
    }
    // A root of the same cluster id that is not our root.
    let same_id = Authority::new_root(cluster.authority.cluster_id(), "raw").unwrap();
    let chain = same_id.issue_operator(&request, "eve", Validity::lasting(hour)).unwrap();
    let eve = Credentials::from_pem(cluster.authority.certificate_pem(), &chain, &key.to_pem()).unwrap();
    kept_out(&cluster, &Api::new(Identity::new(eve).unwrap()));
    // A voter's signing key cannot make an operator.
    kept_out(&cluster, &forged(&cluster, &Role::Operator("eve".into())));
    // Signed by a node's own key: a leaf is no authority.
    let leaf = std::fs::read_to_string(cluster.nodes[0].identity("node.pem")).unwrap();
    let leaf_key = std::fs::read_to_string(cluster.nodes[0].identity("node.key")).unwrap();
    kept_out(&cluster, &forged_by(&cluster, &Role::Operator("eve".into()), &leaf, &leaf_key));
}

fn forged(cluster: &RawCluster, role: &Role) -> Api {
    forged_by(cluster, role, cluster.signer.certificate_pem(), &cluster.signer.key_pem())
}

fn forged_by(cluster: &RawCluster, role: &Role, issuer: &str, issuer_key: &str) -> Api {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(role.uri(cluster.authority.cluster_id()).try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let first = issuer.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    let signing = Issuer::from_ca_cert_pem(first, KeyPair::from_pem(issuer_key).unwrap()).unwrap();
    let chain = params.signed_by(&key, &signing).unwrap().pem() + issuer;
    let credentials = Credentials::from_pem(cluster.authority.certificate_pem(), &chain, &key.serialize_pem()).unwrap();
    Api::new(Identity::new(credentials).unwrap())
}

#[test]
fn a_node_speaks_only_for_itself() {
    let cluster = cluster();
    let third = Api::node(&cluster.nodes[2].data);
    let own = third.identity().own().node_id().expect("it is a node");
    let first = cluster.addresses()[0].clone();
    let other = (1..=3).find(|id| *id != own).unwrap();
    let message = |from| RaftMessage { from, to: 1, ..RaftMessage::default() };
    let denied = |status: tonic::Status| assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    let mut raft = third.raft(&first);
    denied(block(raft.append_entries(message(other))).unwrap_err());
    denied(block(raft.vote(message(other))).unwrap_err());
    denied(block(raft.pre_vote(message(other))).unwrap_err());
    denied(block(raft.transfer_leader(message(other))).unwrap_err());
    // The same within a stream of entries, whose only answer is the refusal.
    let mut streamed = |message: RaftMessage| {
        block(async {
            let messages = tokio_stream::iter([message.clone(), message]);
            raft.append_stream(messages).await.unwrap().into_inner().message().await.unwrap_err()
        })
    };
    denied(streamed(message(other)));
    assert_eq!(streamed(message(own)).code(), Code::InvalidArgument);
    assert_eq!(streamed(RaftMessage { to: 99, ..message(own) }).code(), Code::FailedPrecondition);
    // In its own name only the message itself is wrong.
    assert_eq!(block(raft.vote(message(own))).unwrap_err().code(), Code::InvalidArgument);
    let wrong_receiver = RaftMessage { from: own, to: 99, ..RaftMessage::default() };
    assert_eq!(block(raft.vote(wrong_receiver)).unwrap_err().code(), Code::FailedPrecondition);
    let report = ReportRequest { node_id: other, pid: 1, ..ReportRequest::default() };
    denied(block(third.control(&first).report(report.clone())).unwrap_err());
    denied(block(async {
        let mut control = third.control(&first);
        let answers = control.report_stream(tokio_stream::iter([report.clone()])).await;
        answers.unwrap().into_inner().message().await.unwrap_err()
    }));
    let end = ReportEndRequest { node_id: other, ..ReportEndRequest::default() };
    denied(block(third.control(&first).report_end(end.clone())).unwrap_err());
    denied(block(cluster.operator().control(&first).report_end(end)).unwrap_err());
    // An operator is no node, and a join token is neither.
    let operator = cluster.operator();
    denied(block(operator.raft(&first).vote(message(1))).unwrap_err());
    denied(block(operator.control(&first).report(report.clone())).unwrap_err());
    let streamed = tokio_stream::iter([report.clone()]);
    denied(block(operator.control(&first).report_stream(streamed)).map(|_| ()).unwrap_err());
    denied(block(operator.control(&first).set_voter_secrets(VoterSecrets::default())).unwrap_err());
    denied(block(operator.control(&first).propose_stream(tokio_stream::iter([put("a")]))).map(|_| ()).unwrap_err());
    denied(block(cluster.as_join("x").raft(&first).vote(message(1))).unwrap_err());
    // Only the leader sends voters' secrets.
    let leader = operator.status(&first).unwrap().leader;
    if own != leader {
        let secrets = VoterSecrets {
            intermediate_certificate: "x".into(),
            intermediate_key: "y".into(),
            ssh_private_key: "z".into(),
            secrets_keys: None,
        };
        assert!(block(third.control(&first).set_voter_secrets(secrets)).is_err());
    }
}

fn put(key: &str) -> ProposeRequest {
    ProposeRequest { command: Some(Api::put_command(key, "b")), ..ProposeRequest::default() }
}

#[test]
fn a_signing_key_that_the_root_did_not_certify_is_refused() {
    let cluster = cluster();
    let stranger = Authority::new_root(cluster.authority.cluster_id(), "raw").unwrap();
    let validity = Validity::lasting(Duration::from_secs(3600));
    for address in cluster.addresses() {
        let mut control = cluster.operator().control(&address);
        let request = block(control.signing_key_request(Empty {})).unwrap().into_inner().signing_request;
        let certificate = stranger.sign_intermediate(&request, validity).unwrap();
        let status = block(control.install_signing_key(InstallSigningKeyRequest { certificate })).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{address}: {status:?}");
        assert!(status.message().contains("the cluster's root"), "{status:?}");
    }
}

#[test]
fn private_keys_are_readable_only_by_their_owner_and_stay_on_their_node() {
    use std::os::unix::fs::MetadataExt;
    let cluster = cluster();
    for node in &cluster.nodes {
        for key in ["node.key", "intermediate.key", "ssh_key"] {
            let path = node.identity(key);
            let mode =
                std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", path.display());
        }
        assert_eq!(std::fs::metadata(&node.data).unwrap().mode() & 0o077, 0, "{}", node.data.display());
        let pem = std::fs::read_to_string(node.identity("node.key")).unwrap();
        let der = disco_identity_der(&pem);
        let line = pem.lines().nth(1).unwrap().as_bytes().to_vec();
        let copies = files(cluster.folder()).into_iter().filter(|path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            contains(&bytes, &line) || contains(&bytes, &der)
        });
        assert_eq!(copies.collect::<Vec<_>>(), [node.identity("node.key")]);
    }
}

/// The scalar of a P-256 key in PKCS #8: 32 bytes after the header.
fn disco_identity_der(pem: &str) -> Vec<u8> {
    let key = KeyPair::from_pem(pem).unwrap().serialize_der();
    key[36..68].to_vec()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
