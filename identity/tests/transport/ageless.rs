//! Certificates that have expired: refused for work, but still looked at, and certified anew for who holds their key.

use std::time::Duration;

use disco_identity::{
    Authority, AuthorityError, Credentials, Expect, Expiry, Identity, Phase, PrivateKey, Validity, connect, expiry,
    look, unix_now,
};

use crate::support::{HOUR, World, ask, client, serve};

const LIMIT: Duration = Duration::from_secs(5);
/// A month that is long over.
const PAST: Validity = Validity { not_before: 1_600_000_000, not_after: 1_602_600_000 };

/// The world's signing key and all that it made, as after a long time.
fn aged(world: &mut World) {
    let key = PrivateKey::generate().unwrap();
    let certificate = world.root.sign_intermediate(&key.signing_request().unwrap(), PAST).unwrap();
    world.signer = Authority::from_pem(&certificate, &key.to_pem()).unwrap();
}

#[tokio::test]
async fn an_expired_certificate_is_shown_but_not_trusted() {
    let mut world = World::new();
    let operator = world.operator("anna");
    let signer = world.signer.serial().to_owned();
    let young = serve(&world.node(1)).await;
    let chain = look(&young.address.to_string(), &operator, LIMIT).await.unwrap();
    assert_eq!((chain.len(), chain[0].subject.as_str(), chain[1].subject.as_str()), (2, "node/1", "authority/signing"));
    assert_eq!((chain[0].validity.phase(unix_now()), &chain[1].serial), (Phase::Valid, &signer));

    aged(&mut world);
    let old = world.node_credentials(2, PAST);
    let serial = old.own().serial.clone();
    let running = serve(&Identity::new(old).unwrap()).await;
    let address = running.address.to_string();
    let chain = look(&address, &operator, LIMIT).await.unwrap();
    assert_eq!((chain[0].subject.as_str(), &chain[0].serial, chain[0].validity), ("node/2", &serial, PAST));
    assert_eq!(chain[1].validity.phase(unix_now()), Phase::Expired);
    let error = connect(&address, &operator, Expect::AnyNode, LIMIT).await.unwrap_err();
    assert_eq!(expiry(&error), Some(Expiry::Theirs));
    let status = ask(&mut client(&running, &operator, Expect::AnyNode)).await.unwrap_err();
    assert_eq!(expiry(&status), Some(Expiry::Theirs));
}

#[tokio::test]
async fn who_has_expired_may_look_but_not_ask() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    let late = world.credentials(|request| world.root.issue_operator(request, "late", PAST).unwrap());
    let late = Identity::new(late).unwrap();
    assert_eq!(look(&running.address.to_string(), &late, LIMIT).await.unwrap()[0].subject, "node/1");
    let status = ask(&mut client(&running, &late, Expect::AnyNode)).await.unwrap_err();
    assert_eq!(expiry(&status), Some(Expiry::Own));
}

#[tokio::test]
async fn age_is_all_that_is_overlooked() {
    let (world, mut other) = (World::new(), World::new());
    aged(&mut other);
    let stranger = Identity::new(other.node_credentials(1, PAST)).unwrap();
    let error = look(&serve(&stranger).await.address.to_string(), &world.operator("anna"), LIMIT).await.unwrap_err();
    let refusal = disco_identity::refusal(&error).unwrap();
    assert_eq!(refusal, "the other end's certificate does not belong to this cluster");
    assert_eq!(expiry(&error), None);
    // A retired signing key stays retired.
    let operator = world.operator("anna");
    operator.refuse_intermediates([world.signer.serial().to_owned()]);
    assert!(look(&serve(&world.node(1)).await.address.to_string(), &operator, LIMIT).await.is_err());
}

#[test]
fn the_root_certifies_anew_who_holds_the_key_of_an_expired_certificate() {
    let mut world = World::new();
    aged(&mut world);
    let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let request = key.signing_request().unwrap();
    let addresses = ["10.0.0.7".parse().unwrap()];
    let old = world.signer.issue_node(&request, 7, &addresses, PAST).unwrap();
    let lasting = Validity::lasting(HOUR);

    let new = world.root.renew_node(&old, &request, lasting).unwrap();
    let root = world.root.certificate_pem();
    let credentials = Credentials::from_pem(root, &new, &key.to_pem()).unwrap();
    credentials.verify().unwrap();
    assert_eq!(credentials.own().node_id(), Some(7));
    assert_eq!(Identity::new(credentials).unwrap().addresses(), addresses);
    let expired = Credentials::from_pem(root, &old, &key.to_pem()).unwrap().verify().unwrap_err();
    assert_eq!(expired.to_string(), "unusable certificate: it has expired");

    let refused = world.root.renew_node(&old, &other.signing_request().unwrap(), lasting);
    assert!(matches!(refused, Err(AuthorityError::OtherKey)));
    let refused = world.signer.renew_node(&old, &request, lasting);
    assert!(matches!(refused, Err(AuthorityError::NotRoot(_))));
    let refused = World::new().root.renew_node(&old, &request, lasting);
    assert!(matches!(refused, Err(AuthorityError::NotOurs { .. })));
    let operator = world.root.issue_operator(&request, "anna", PAST).unwrap();
    let refused = world.root.renew_node(&operator, &request, lasting);
    assert!(matches!(refused, Err(AuthorityError::NotOurs { .. })));
}
