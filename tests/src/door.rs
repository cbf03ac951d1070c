use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::block;

/// The connections that a [`Door`] drops. They are not refused but lost, as if a firewall drops packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Connections that are made from now on.
    pub new: bool,
    /// Existing connections.
    pub established: bool,
}

/// A proxy in front of a node for inbound connections; connections that the node opens bypass it.
pub struct Door {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    closed: Closed,
    /// Connections up to this number existed when the door was closed.
    established: u64,
    last: u64,
}

/// Larger than a TLS record.
const CHUNK: usize = 32 * 1024;

impl Door {
    /// Listens at `address`, in front of the other one.
    #[must_use]
    pub fn open(address: SocketAddr, behind: SocketAddr) -> Self {
        let (state, _) = watch::channel(State::default());
        let numbers = state.clone();
        block(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            tokio::spawn(async move {
                while let Ok((outside, _)) = listener.accept().await {
                    let mut number = 0;
                    numbers.send_modify(|state| {
                        state.last += 1;
                        number = state.last;
                    });
                    tokio::spawn(connect(outside, behind, number, numbers.subscribe()));
                }
            });
        });
        Self { state }
    }

    /// Drops these connections from now on.
    pub fn close(&self, closed: Closed) {
        self.state.send_modify(|state| *state = State { closed, established: state.last, ..*state });
    }
}

impl State {
    fn passes(&self, number: u64) -> bool {
        if number <= self.established { !self.closed.established } else { !self.closed.new }
    }
}

async fn connect(outside: TcpStream, behind: SocketAddr, number: u64, mut state: watch::Receiver<State>) {
    if state.wait_for(|state| state.passes(number)).await.is_err() {
        return;
    }
    let Ok(inside) = TcpStream::connect(behind).await else { return };
    let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
    let ((from_outside, to_outside), (from_inside, to_inside)) = (outside.into_split(), inside.into_split());
    tokio::join!(pass(from_outside, to_inside, number, state.clone()), pass(from_inside, to_outside, number, state));
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: u64, mut state: watch::Receiver<State>) {
    let mut bytes = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if state.wait_for(|state| state.passes(number)).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
