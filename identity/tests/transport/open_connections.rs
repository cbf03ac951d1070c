//! Connections end when what they were made with is no longer good, and come back with what is.

use disco_identity::{Expect, ListenLimits, Validity, refusal, unix_now};

use crate::support::{HOUR, World, ask, chain, client, eventually, serve, serve_on};

#[tokio::test]
async fn an_expired_certificate_ends_the_connection_and_a_new_one_brings_it_back() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    let soon = Validity { not_before: 1_000_000_000, not_after: unix_now() + 6 };
    let asking = disco_identity::Identity::new(world.node_credentials(2, soon)).unwrap();
    let mut client = client(&running, &asking, Expect::Node(1));
    ask(&mut client).await.unwrap();

    eventually(|| {
        let mut client = client.clone();
        async move { ask(&mut client).await.err().ok_or("still served".to_owned()) }
    })
    .await;
    asking.replace(world.node_credentials(2, Validity::lasting(HOUR))).unwrap();
    let seen = eventually(|| {
        let mut client = client.clone();
        async move { ask(&mut client).await.map_err(|status| chain(&status)) }
    })
    .await;
    assert_eq!(seen, format!("node/2 {}", asking.own().serial));
}

#[tokio::test]
async fn a_retired_signing_key_ends_connections_and_admits_no_more() {
    let mut world = World::new();
    let server = world.node(1);
    let running = serve(&server).await;
    let (asking, idle) = (world.node(2), world.node(3));
    let mut open = client(&running, &asking, Expect::Node(1));
    ask(&mut open).await.unwrap();

    // What the operator does: a new key, certified by the root; the servers get certificates from it first.
    let retired = std::mem::replace(&mut world.signer, world.root.new_intermediate().unwrap());
    server.replace(world.node_credentials(1, Validity::lasting(HOUR))).unwrap();
    asking.replace(world.node_credentials(2, Validity::lasting(HOUR))).unwrap();
    server.refuse_intermediates([retired.serial().to_owned()]);

    let renewed = format!("node/2 {}", asking.own().serial);
    eventually(|| {
        let (mut open, renewed) = (open.clone(), renewed.clone());
        async move {
            let seen = ask(&mut open).await.map_err(|status| chain(&status))?;
            if seen == renewed { Ok(()) } else { Err(seen) }
        }
    })
    .await;

    let status = ask(&mut client(&running, &idle, Expect::Node(1))).await.unwrap_err();
    let reason = refusal(&status).unwrap_or_else(|| panic!("{}", chain(&status)));
    assert!(reason.starts_with("the other end refused this certificate"), "{reason}");
}

#[tokio::test]
async fn a_server_with_a_retired_signer_is_not_trusted() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    let asking = world.node(2);
    asking.refuse_intermediates([world.signer.serial().to_owned()]);
    let status = ask(&mut client(&running, &asking, Expect::Node(1))).await.unwrap_err();
    let reason = refusal(&status).unwrap_or_else(|| panic!("{}", chain(&status)));
    assert!(reason.contains("retired key") && reason.contains(world.signer.serial()), "{reason}");
    // The list is the whole list: what is no longer in it is trusted again.
    asking.refuse_intermediates([]);
    ask(&mut client(&running, &asking, Expect::Node(1))).await.unwrap();
}

#[tokio::test]
async fn a_channel_survives_the_restart_of_its_server() {
    let world = World::new();
    let server = world.node(1);
    let running = serve(&server).await;
    let address = running.address;
    let mut client = client(&running, &world.node(2), Expect::Node(1));
    ask(&mut client).await.unwrap();
    running.stop().await;
    let status = ask(&mut client).await.unwrap_err();
    assert!(chain(&status).contains(&address.to_string()), "the address is named: {}", chain(&status));
    let listener =
        eventually(|| async { tokio::net::TcpListener::bind(address).await.map_err(|error| error.to_string()) }).await;
    let _running = serve_on(listener, &server, ListenLimits::default());
    eventually(|| {
        let mut client = client.clone();
        async move { ask(&mut client).await.map_err(|status| chain(&status)) }
    })
    .await;
}
