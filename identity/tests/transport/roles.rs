//! What a certificate allows.

use disco_identity::{Expect, Identity};
use disco_proto::v1::{RaftMessage, SnapshotPart};
use tonic::{Code, Status};

use crate::support::{Running, World, ask, chain, client, serve};

async fn each(running: &Running, identity: &Identity, from: u64) -> [Result<(), Code>; 4] {
    let mut client = client(running, identity, Expect::Node(1));
    let message = RaftMessage { from, ..RaftMessage::default() };
    let code = |status: Status| status.code();
    let parts = tokio_stream::iter([SnapshotPart::default()]);
    [
        client.append_entries(message.clone()).await.map(drop).map_err(code),
        client.pre_vote(message.clone()).await.map(drop).map_err(code),
        client.transfer_leader(message).await.map(drop).map_err(code),
        client.install_snapshot(parts).await.map(drop).map_err(code),
    ]
}

#[tokio::test]
async fn each_role_may_do_what_is_its_own() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    let no = Err(Code::PermissionDenied);
    assert_eq!(each(&running, &world.node(2), 2).await, [Ok(()), Ok(()), no, no], "node");
    assert_eq!(each(&running, &world.node(2), 3).await, [no, Ok(()), no, no], "a node that claims to be another");
    assert_eq!(each(&running, &world.operator("anna"), 2).await, [no, Ok(()), no, Ok(())], "operator");
    assert_eq!(each(&running, &world.join("t1"), 2).await, [no, no, Ok(()), no], "join token");
}

#[tokio::test]
async fn the_server_sees_who_asks() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    for identity in [world.node(2), world.operator("anna"), world.join("t1")] {
        let seen = ask(&mut client(&running, &identity, Expect::AnyNode)).await.unwrap();
        assert_eq!(seen, format!("{} {}", identity.own().role, identity.own().serial));
    }
}

#[tokio::test]
async fn a_guard_says_why() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    let mut client = client(&running, &world.node(2), Expect::Node(1));
    let status = client.append_entries(RaftMessage { from: 9, ..RaftMessage::default() }).await.unwrap_err();
    assert_eq!(status.message(), "node/2 may not speak for node/9", "{}", chain(&status));
    let status = client.transfer_leader(RaftMessage::default()).await.unwrap_err();
    assert_eq!(status.message(), "node/2 is not the holder of a join token");
}

#[tokio::test]
async fn only_a_node_can_answer_as_a_node() {
    let world = World::new();
    for identity in [world.operator("anna"), world.join("t1")] {
        let running = serve(&identity).await;
        for expect in [Expect::AnyNode, Expect::Node(1)] {
            let status = ask(&mut client(&running, &world.node(2), expect)).await.unwrap_err();
            assert!(disco_identity::refusal(&status).is_some(), "{}", chain(&status));
        }
    }
}
