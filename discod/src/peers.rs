//! Connections to the other nodes.
//!
//! One channel for each peer and lane: heartbeats and requests never queue behind a snapshot or a file. Channels connect
//! when they are first used, and again by themselves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use disco_identity::{ChannelOptions, Expect, Identity};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::told::ToldAddresses;

/// Requests in a row without an answer after which a connection may be one whose packets are dropped, while a new one would work.
const UNANSWERED: u32 = 3;
/// But no connection is given up sooner: more than it takes to make one, over any link.
const LEAST_AGE: Duration = Duration::from_secs(4);

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Raft's messages and requests.
    Control,
    /// Snapshots.
    Bulk,
}

type Channels = HashMap<(u64, Lane), Open>;

/// A channel to where a node is.
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
    told: ToldAddresses,
    unreached: Arc<Mutex<HashSet<u64>>>,
    unanswered: Arc<Mutex<HashMap<u64, u32>>>,
}

// === impl Peers ===

impl Peers {
    /// No channels yet.
    #[must_use]
    pub fn new(identity: Identity, options: ChannelOptions) -> Self {
        Self {
            identity,
            options,
            channels: Arc::default(),
            moved: Arc::default(),
            told: ToldAddresses::default(),
            unreached: Arc::default(),
            unanswered: Arc::default(),
        }
    }

    /// The same, looking for nodes where the operator has told that they are.
    #[must_use]
    pub fn with_told(self, told: ToldAddresses) -> Self {
        Self { told, ..self }
    }

    /// Where a node is, of which the membership says `said`.
    #[must_use]
    pub fn place(&self, node: u64, said: &str) -> String {
        self.told.place(node, said)
    }

    /// Takes the operator's word for where nodes are: by id what the membership says, and where they are.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn tell(&self, told: BTreeMap<u64, (String, String)>) -> io::Result<()> {
        self.told.tell(told.clone())?;
        self.moved.lock().extend(told.into_iter().map(|(node, (_, address))| (node, address)));
        Ok(())
    }

    /// What this node proves itself with.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// From now on a node is where the membership says that it is, whatever who asks for its channel was told before.
    pub fn set_address(&self, node: u64, address: &str) {
        let address = self.place(node, address);
        let mut moved = self.moved.lock();
        if moved.get(&node).is_none_or(|known| *known != address) {
            moved.insert(node, address);
        }
    }

    /// The channel to a node where it is now; `told` is where it was when nothing newer is known.
    #[must_use]
    pub fn current(&self, node: u64, told: &str, lane: Lane) -> Channel {
        let address = self.moved.lock().get(&node).cloned();
        self.channel(node, address.as_deref().unwrap_or(told), lane)
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
        let channel = disco_identity::channel(address, &self.identity, Expect::Node(node), &self.options);
        let open = Open { address: address.to_owned(), channel: channel.clone(), since: Instant::now() };
        channels.insert((node, lane), open);
        channel
    }

    /// A channel of its own to whichever member answers at the address, for a node that does not know yet who is there.
    #[must_use]
    pub fn any(&self, address: &str) -> Channel {
        disco_identity::channel(address, &self.identity, Expect::AnyNode, &self.options)
    }

    /// Notes that a node has answered; says so where it could not be reached before.
    pub fn reached(&self, node: u64) {
        self.unanswered.lock().remove(&node);
        if self.unreached.lock().remove(&node) {
            tracing::info!(node, "reached again");
        }
    }

    /// Notes that a node has not answered in time. After some such requests the next one goes by a new connection: a firewall may have
    /// forgotten the old one, whose end this end would otherwise notice much later.
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
            tracing::debug!(node, "does not answer, the next request goes by a new connection");
        }
    }

    /// Notes that a node could not be reached; says so the first time.
    pub fn not_reached(&self, node: u64, why: &dyn Display) {
        if self.unreached.lock().insert(node) {
            tracing::warn!(node, error = %why, "not reached");
        }
    }

    /// Lets go of the channels to nodes that are no members any more.
    pub fn retain(&self, keep: impl Fn(u64) -> bool) {
        self.channels.lock().retain(|(node, _), _| keep(*node));
        self.moved.lock().retain(|node, _| keep(*node));
        self.unreached.lock().retain(|node| keep(*node));
        self.unanswered.lock().retain(|node, _| keep(*node));
    }
}
