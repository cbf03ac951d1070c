//! What strangers can do to a port: nothing.

use std::time::Duration;

use disco_identity::{Expect, ListenLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::{World, ask, client, eventually, serve, serve_with};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn plain_text_and_random_bytes_disturb_nobody() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    let mut asking = client(&running, &world.node(2), Expect::Node(1));
    ask(&mut asking).await.unwrap();

    let mut noise = vec![b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()];
    // A TLS record that announces more than it has, one of the largest size, and bytes that depend on nothing.
    noise.push(vec![0x16, 0x03, 0x01, 0x40, 0x00, 0x01]);
    noise.push([vec![0x16, 0x03, 0x03, 0xff, 0xff], vec![0xaa; 70_000]].concat());
    let mut state = 1_u64;
    for length in [1, 5, 100, 5_000] {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(&state.to_be_bytes());
        }
        noise.push(bytes);
    }
    for bytes in noise {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        // The server may close while this is still being sent.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server closes it");
        assert!(answer.len() < 64, "an alert at most: {answer:?}");
        ask(&mut asking).await.unwrap();
    }
    ask(&mut client(&running, &world.node(3), Expect::Node(1))).await.unwrap();
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let world = World::new();
    let limits = ListenLimits { pending: 4, handshake: Duration::from_secs(60), ..ListenLimits::default() };
    let running = serve_with(&world.node(1), limits).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    let start = Instant::now();
    ask(&mut client(&running, &world.node(2), Expect::Node(1))).await.unwrap();
    assert!(start.elapsed() < SOON);
    // The oldest were ended to make room.
    let read = timeout(SOON, silent[0].read(&mut [0; 1])).await.expect("it is closed");
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_the_time_limit() {
    let world = World::new();
    let limits = ListenLimits { handshake: Duration::from_millis(100), ..ListenLimits::default() };
    let running = serve_with(&world.node(1), limits).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let read = timeout(SOON, silent.read(&mut [0; 1])).await.expect("it is closed");
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test]
async fn connections_are_bounded_and_places_are_given_back() {
    let world = World::new();
    let limits = ListenLimits { connections: 2, ..ListenLimits::default() };
    let running = serve_with(&world.node(1), limits).await;
    let (mut one, mut two) =
        (client(&running, &world.node(2), Expect::Node(1)), client(&running, &world.node(3), Expect::Node(1)));
    ask(&mut one).await.unwrap();
    ask(&mut two).await.unwrap();
    let third = world.node(4);
    ask(&mut client(&running, &third, Expect::Node(1))).await.unwrap_err();
    drop(one);
    eventually(|| async {
        ask(&mut client(&running, &third, Expect::Node(1))).await.map_err(|status| status.to_string())
    })
    .await;
    ask(&mut two).await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_gives_its_port_back() {
    let world = World::new();
    let running = serve(&world.node(1)).await;
    let address = running.address;
    drop(running);
    eventually(|| async { tokio::net::TcpListener::bind(address).await.map(drop).map_err(|error| error.to_string()) })
        .await;
}
