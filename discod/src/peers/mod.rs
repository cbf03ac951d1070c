//! Connections to the other nodes.
//!
//! One channel for each peer and lane: heartbeats and requests never queue behind a snapshot, a file, or a client that
//! does not read. Channels connect on first use, and reconnect by themselves. Only this module, `raft` and `api` use gRPC.

mod artifacts;
mod error;
mod hops;
mod member;
mod overrides;
mod report_stream;
mod write_stream;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use disco_identity::{ChannelOptions, Expect, Identity};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::transport::Channel;

pub use error::RemoteError;
pub use hops::Hops;
pub use member::{HOPS, MemberClient};
pub use overrides::AddressOverrides;
pub use report_stream::ReportStream;
pub use write_stream::WriteStream;

/// Largest message between two nodes.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Consecutive requests without an answer after which the connection may be dropping packets while a new one would
/// work.
const UNANSWERED: u32 = 3;
/// No connection is abandoned sooner: longer than it takes to open one, over any link.
const LEAST_AGE: Duration = Duration::from_secs(4);

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Raft's messages and requests.
    Control,
    /// Snapshots and files.
    Bulk,
    /// What clients read and write for as long as they like, and requests that take long. A client that does not read
    /// fills the connection's window. Without a time limit: only the client knows how long it waits.
    Sessions,
}

type Channels = HashMap<(u64, Lane), Open>;

/// A channel to a node's address.
struct Open {
    address: String,
    channel: Channel,
    since: Instant,
}

/// The channels of this node.
#[derive(Clone)]
pub struct Peers {
    identity: Identity,
    options: ChannelOptions,
    channels: Arc<Mutex<Channels>>,
    moved: Arc<Mutex<HashMap<u64, String>>>,
    overrides: AddressOverrides,
    /// Nodes that could not be reached by the last call, and why.
    unreached: Arc<Mutex<HashMap<u64, String>>>,
    unanswered: Arc<Mutex<HashMap<u64, u32>>>,
}

// === impl Peers ===

impl Peers {
    /// Starts without channels.
    #[must_use]
    pub fn new(identity: Identity, options: ChannelOptions) -> Self {
        Self {
            identity,
            options,
            channels: Arc::default(),
            moved: Arc::default(),
            overrides: AddressOverrides::default(),
            unreached: Arc::default(),
            unanswered: Arc::default(),
        }
    }

    /// Adds the addresses set by the operator.
    #[must_use]
    pub fn with_overrides(self, overrides: AddressOverrides) -> Self {
        Self { overrides, ..self }
    }

    /// The address of a node whose address in the membership is `recorded`.
    #[must_use]
    pub fn resolve(&self, node: u64, recorded: &str) -> String {
        self.overrides.resolve(node, recorded)
    }

    /// Sets the operator's addresses: by node id the one in the membership, and its replacement.
    ///
    /// # Errors
    /// They cannot be written to disk.
    pub fn set_overrides(&self, addresses: BTreeMap<u64, (String, String)>) -> io::Result<()> {
        self.overrides.set(addresses.clone())?;
        self.moved.lock().extend(addresses.into_iter().map(|(node, (_, address))| (node, address)));
        Ok(())
    }

    /// The certificate and key with which this node authenticates.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Sets a node's address from the membership, which overrides the address known to a caller of [`Self::current`].
    pub fn set_address(&self, node: u64, address: &str) {
        let address = self.resolve(node, address);
        let mut moved = self.moved.lock();
        if moved.get(&node).is_none_or(|known| *known != address) {
            moved.insert(node, address);
        }
    }

    /// The channel to a node's current address; `known` is its address if no newer one is known.
    #[must_use]
    pub fn current(&self, node: u64, known: &str, lane: Lane) -> Channel {
        self.channel(node, &self.current_address(node, known), lane)
    }

    /// The node's current address; `known` if no newer one is known.
    #[must_use]
    pub fn current_address(&self, node: u64, known: &str) -> String {
        self.moved.lock().get(&node).cloned().unwrap_or_else(|| known.to_owned())
    }

    /// The channel to a node; a changed address replaces the channel.
    #[must_use]
    pub fn channel(&self, node: u64, address: &str, lane: Lane) -> Channel {
        let mut channels = self.channels.lock();
        if let Some(open) = channels.get(&(node, lane))
            && open.address == address
        {
            return open.channel.clone();
        }
        let mut options = self.options.clone();
        if lane == Lane::Sessions {
            options.request_timeout = None;
        }
        let channel = disco_identity::channel(address, &self.identity, Expect::Node(node), &options);
        let open = Open { address: address.to_owned(), channel: channel.clone(), since: Instant::now() };
        channels.insert((node, lane), open);
        channel
    }

    /// A client of the control service of the node at the address.
    #[must_use]
    pub fn member(&self, node: u64, address: &str) -> MemberClient {
        MemberClient::new(self.channel(node, address, Lane::Control))
    }

    /// Like [`Self::member`], for what is large.
    #[must_use]
    pub fn bulk_member(&self, node: u64, address: &str) -> MemberClient {
        MemberClient::new(self.channel(node, address, Lane::Bulk))
    }

    /// Like [`Self::member`], for what waits for clients.
    #[must_use]
    pub fn session_member(&self, node: u64, address: &str) -> MemberClient {
        MemberClient::new(self.channel(node, address, Lane::Sessions))
    }

    /// Like [`Self::member`], on a new connection, to whichever member answers at the address.
    #[must_use]
    pub fn any_member(&self, address: &str) -> MemberClient {
        let channel = disco_identity::channel(address, &self.identity, Expect::AnyNode, &self.options);
        MemberClient::new(channel)
    }

    /// Notes that a node has answered; logs it if the node was unreachable before.
    pub fn reached(&self, node: u64) {
        self.unanswered.lock().remove(&node);
        if self.unreached.lock().remove(&node).is_some() {
            tracing::info!(node, "peer reachable again");
        }
    }

    /// Notes that a node has not answered in time. After several such requests the next one uses a new connection: a
    /// firewall may have forgotten the old one, which this end would otherwise notice much later.
    pub fn unanswered(&self, node: u64) {
        let count = {
            let mut unanswered = self.unanswered.lock();
            let count = unanswered.entry(node).or_default();
            *count += 1;
            *count
        };
        let mut channels = self.channels.lock();
        let open = channels.get(&(node, Lane::Control));
        if count >= UNANSWERED && open.is_some_and(|open| open.since.elapsed() >= LEAST_AGE) {
            channels.remove(&(node, Lane::Control));
            self.unanswered.lock().remove(&node);
            tracing::debug!(node, "peer does not answer; the next request opens a new connection");
        }
    }

    /// Notes that a node could not be reached; logs it the first time.
    pub fn not_reached(&self, node: u64, why: &str) {
        if self.unreached.lock().insert(node, why.to_owned()).is_none() {
            tracing::warn!(node, error = why, "cannot reach peer");
        }
    }

    /// Why the last call could not reach a node, if so.
    #[must_use]
    pub fn why_not_reached(&self, node: u64) -> Option<String> {
        self.unreached.lock().get(&node).cloned()
    }

    /// Drops the channels to nodes that are no longer members.
    pub fn retain(&self, keep: impl Fn(u64) -> bool) {
        self.channels.lock().retain(|(node, _), _| keep(*node));
        self.moved.lock().retain(|node, _| keep(*node));
        self.unreached.lock().retain(|node, _| keep(*node));
        self.unanswered.lock().retain(|node, _| keep(*node));
    }
}
