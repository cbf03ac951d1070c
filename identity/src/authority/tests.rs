use super::*;
use crate::role::PeerIdentity;
use crate::{CLOCK_SKEW, unix_now};

fn root() -> Authority {
    Authority::new_root(&ClusterId::random(), "heavyobjects").unwrap()
}

fn request() -> String {
    PrivateKey::generate().unwrap().signing_request().unwrap()
}

fn leaf(chain: &str) -> PeerIdentity {
    PeerIdentity::from_der(&certificate::chain_from_pem(chain).unwrap()[0]).unwrap()
}

#[test]
fn a_node_is_named_by_what_the_authority_says() {
    let signer = root().new_intermediate().unwrap();
    let chain =
        signer.issue_node(&request(), 7, &["127.9.0.1".parse().unwrap()], Validity::lasting(NODE_LIFETIME)).unwrap();
    let peer = leaf(&chain);
    assert_eq!((&peer.cluster_id, peer.role, peer.serial.len()), (signer.cluster_id(), Role::Node(7), 32));
    assert!(peer.not_before <= unix_now() - CLOCK_SKEW.as_secs());
    assert!(peer.not_after.abs_diff(unix_now() + NODE_LIFETIME.as_secs()) < 60);
    let chain = certificate::chain_from_pem(&chain).unwrap();
    assert_eq!(&chain[1], signer.certificate_der());
    assert_eq!(chain.len(), 2);
}

#[test]
fn two_certificates_for_one_key_have_different_serials() {
    let (root, request) = (root(), request());
    let issue = || leaf(&root.issue_operator(&request, "anna", Validity::lasting(OPERATOR_LIFETIME)).unwrap()).serial;
    assert_ne!(issue(), issue());
}

#[test]
fn names_in_a_request_are_not_believed() {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let signer = root().new_intermediate().unwrap();
    let mut params = CertificateParams::new(vec!["node-1.example".to_owned()]).unwrap();
    params.subject_alt_names.push(uri(Role::Operator("root".into()).uri(signer.cluster_id())).unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let request = params.serialize_request(&key).unwrap().pem().unwrap();
    let chain = signer.issue_join(&request, "t1", Validity::lasting(DAY)).unwrap();
    assert_eq!(leaf(&chain).role, Role::Join("t1".into()));
    let chain = certificate::chain_from_pem(&chain).unwrap();
    let leaf = certificate::parse(&chain[0]).unwrap();
    assert!(!leaf.is_ca());
    assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
}

#[test]
fn a_client_has_a_role_and_no_common_name() {
    let root = root();
    let lasting = Validity::lasting(DAY);
    let chain = root.issue_client(&request(), "billing", lasting).unwrap();
    assert_eq!(leaf(&chain).role, Role::Client("billing".into()));
    let chain = certificate::chain_from_pem(&chain).unwrap();
    let client = certificate::parse(&chain[0]).unwrap();
    assert_eq!(client.subject().iter_common_name().count(), 0, "{}", client.subject());
    assert_eq!(client.subject().iter_organization().count(), 1);
    assert!(matches!(root.issue_client(&request(), "a/b", lasting), Err(AuthorityError::Name(_))));
    let signer = root.new_intermediate().unwrap();
    assert!(matches!(signer.issue_client(&request(), "billing", lasting), Err(AuthorityError::NotRoot(_))));
}

#[test]
fn a_request_without_proof_of_possession_is_refused() {
    let signer = root().new_intermediate().unwrap();
    let key = PrivateKey::generate().unwrap();
    let other = PrivateKey::generate().unwrap();
    let mut der = pem_der(&key.signing_request().unwrap());
    // The other's public key in the place of the one that signed.
    let at = der.windows(65).position(|window| window == key.pair().public_key_raw()).unwrap();
    der[at..at + 65].copy_from_slice(other.pair().public_key_raw());
    let forged = rcgen_pem(&der);
    let result = signer.issue_node(&forged, 1, &[], Validity::lasting(DAY));
    assert!(matches!(result, Err(AuthorityError::Request)), "{result:?}");
}

#[test]
fn other_keys_garbage_and_huge_requests_are_refused() {
    let signer = root().new_intermediate().unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ed25519 = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    for request in [ed25519, p384] {
        let result = signer.issue_node(&request, 1, &[], Validity::lasting(DAY));
        assert!(matches!(result, Err(AuthorityError::RequestKey)), "{result:?}");
    }
    for request in [String::new(), "x".repeat(1 << 20), root().certificate_pem().to_owned()] {
        let result = signer.issue_node(&request, 1, &[], Validity::lasting(DAY));
        assert!(matches!(result, Err(AuthorityError::Request)), "{result:?}");
    }
}

#[test]
fn names_that_could_not_be_read_back_are_refused() {
    let root = root();
    for name in ["", "a/b", "a b", "ü", "x\n"] {
        let result = root.issue_operator(&request(), name, Validity::lasting(DAY));
        assert!(matches!(result, Err(AuthorityError::Name(_))), "{name:?}");
    }
    assert!(matches!(root.issue_node(&request(), 0, &[], Validity::lasting(DAY)), Err(AuthorityError::Name(_))));
}

#[test]
fn a_signing_key_makes_neither_operators_nor_further_signing_keys() {
    let signer = root().new_intermediate().unwrap();
    let operator = signer.issue_operator(&request(), "eve", Validity::lasting(DAY));
    assert!(matches!(operator, Err(AuthorityError::NotRoot("operators"))));
    assert!(matches!(
        signer.sign_intermediate(&request(), Validity::lasting(DAY)),
        Err(AuthorityError::NotRoot("signing keys"))
    ));
}

#[test]
fn a_signing_key_made_elsewhere_is_certified_by_the_root() {
    let root = root();
    let key = PrivateKey::generate().unwrap();
    let certificate = root.sign_intermediate(&key.signing_request().unwrap(), Validity::lasting(DAY)).unwrap();
    let signer = Authority::from_pem(&certificate, &key.to_pem()).unwrap();
    assert!(!signer.is_root());
    assert_eq!(signer.cluster_id(), root.cluster_id());
    assert_ne!(signer.serial(), root.serial());
}

#[test]
fn authorities_are_taken_up_again_and_mismatches_refused() {
    let (one, two) = (root(), root());
    let again = Authority::from_pem(one.certificate_pem(), &one.key_pem()).unwrap();
    assert_eq!(again.serial(), one.serial());
    assert!(matches!(Authority::from_pem(one.certificate_pem(), &two.key_pem()), Err(AuthorityError::KeyMismatch)));
    let key = PrivateKey::generate().unwrap();
    let leaf = one.issue_operator(&key.signing_request().unwrap(), "a", Validity::lasting(DAY)).unwrap();
    assert!(matches!(Authority::from_pem(&leaf, &key.to_pem()), Err(AuthorityError::NotAuthority)));
}

#[test]
fn nothing_is_valid_longer_than_what_signed_it() {
    let root = root();
    let signer = root.new_intermediate().unwrap();
    let chain = signer.issue_node(&request(), 1, &[], Validity::lasting(ROOT_LIFETIME * 2)).unwrap();
    assert_eq!(leaf(&chain).not_after, signer.not_after());
}

#[test]
fn debug_does_not_show_the_secret() {
    let root = root();
    let secret = root.key_pem();
    let line = secret.lines().nth(1).unwrap();
    assert!(!format!("{root:?}").contains(line));
}

fn pem_der(pem: &str) -> Vec<u8> {
    use rustls_pki_types::CertificateSigningRequestDer;
    use rustls_pki_types::pem::PemObject;
    CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

fn rcgen_pem(der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")
}
