use std::{net::SocketAddr, time::Duration};

use disco_identity::{ChannelOptions, Expect};
use disco_proto::v1::{StatusRequest, StatusResponse};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tonic::Status;

use super::{Client, Control};

/// Time without an answer, after which the next node is tried in parallel.
const HEDGE_AFTER: Duration = Duration::from_millis(250);
/// Time for one node to accept a connection and answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Maximum size of a message: a page of keys with their values.
const LARGEST_MESSAGE: usize = 32 << 20;
/// The upload rate is window / round trip; a client's memory does not matter.
const WINDOW: u32 = 1 << 20;

impl Client {
    /// The current connection, or a new one to the first node that answers. Tries the nodes in turn, the next one as soon as the
    /// previous one fails or is slow.
    pub(super) async fn control(&self) -> Result<(SocketAddr, Control), Status> {
        if let Some(current) = self.peers().current.clone() {
            return Ok(current);
        }
        let addresses = self.peers().addresses.clone();
        let mut waiting = addresses.into_iter();
        let mut probes = FuturesUnordered::new();
        let mut worst: Option<Status> = None;
        loop {
            if let Some(address) = waiting.next() {
                probes.push(self.probe(address));
            } else if probes.is_empty() {
                return Err(worst.unwrap_or_else(|| Status::unavailable("no node address is known")));
            }
            let pause = async {
                if waiting.len() > 0 {
                    tokio::time::sleep(HEDGE_AFTER).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                Some(answer) = probes.next() => match answer {
                    Ok((address, control, status)) => {
                        // Only a cache: a full disk must not prevent commands from reading the cluster.
                        if let Err(failure) = self.remember(&status) {
                            tracing::warn!(%failure, "cannot save the nodes' addresses");
                        }
                        self.peers().current = Some((address, control.clone()));
                        return Ok((address, control));
                    }
                    // A refusal is more informative than no answer.
                    Err(status) => worst = match worst {
                        Some(before) if severity(&before) >= severity(&status) => Some(before),
                        _ => Some(status),
                    },
                },
                () = pause => {}
            }
        }
    }

    /// The connection for requests that are not retried.
    pub(crate) async fn connection(&self) -> crate::error::Outcome<(SocketAddr, Control)> {
        self.control().await.map_err(|status| super::from_status(&status))
    }

    /// Makes the next request open a new connection.
    pub(crate) fn drop_connection(&self) {
        let current = self.peers().current.take();
        if let Some((address, _)) = current {
            self.forget(address);
        }
    }

    /// Drops the connection to `address`, which is tried last from now on.
    pub(super) fn forget(&self, address: SocketAddr) {
        let mut peers = self.peers();
        if peers.current.as_ref().is_some_and(|(current, _)| *current == address) {
            peers.current = None;
        }
        if let Some(at) = peers.addresses.iter().position(|known| *known == address) {
            let address = peers.addresses.remove(at);
            peers.addresses.push(address);
        }
    }

    pub(super) async fn probe(&self, address: SocketAddr) -> Result<(SocketAddr, Control, StatusResponse), Status> {
        let mut control = self.dial(address, Expect::AnyNode);
        let status = control.status(StatusRequest { stale: true });
        match tokio::time::timeout(ANSWER_WITHIN, status).await {
            Ok(Ok(status)) => Ok((address, control, status.into_inner())),
            Ok(Err(status)) => Err(at(address, status)),
            Err(_) => Err(Status::unavailable(format!("{address}: no answer within {}s", ANSWER_WITHIN.as_secs()))),
        }
    }

    /// A channel to the node at `address`, without fallback to other addresses.
    pub(crate) fn dial(&self, address: SocketAddr, expect: Expect) -> Control {
        let options = ChannelOptions {
            connect_timeout: ANSWER_WITHIN,
            // Requests have their own limits: some wait for machines to start.
            request_timeout: None,
            window: WINDOW,
            ..ChannelOptions::default()
        };
        Control::new(disco_identity::channel(address, self.identity(), expect, &options))
            .max_decoding_message_size(LARGEST_MESSAGE)
    }
}

fn severity(status: &Status) -> u8 {
    match status.code() {
        tonic::Code::Unavailable => 0,
        _ if disco_identity::refusal(status).is_some() => 2,
        _ => 1,
    }
}

/// Prefixes the message with the address, and keeps the causes.
fn at(address: SocketAddr, status: Status) -> Status {
    let message = disco_identity::describe(&status);
    let message = if message.contains(&address.to_string()) { message } else { format!("{address}: {message}") };
    let mut named = Status::new(status.code(), message);
    named.set_source(std::sync::Arc::new(status));
    named
}
