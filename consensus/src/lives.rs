//! Whether a process that acts as a node is that node: see [`disco_planner::twins`], which decides.
//!
//! Checked before any message of Raft and any report is accepted. It costs a connection for the first message of each
//! start of a node, and nothing for the others.

use disco_planner::Pace;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use disco_planner::twins::{self, Life, Start, Verdict};
use disco_store::typed::NodeRecord;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::Instant;

use super::node::OpenRaft;
use super::platform::{Platform, Transport};
use super::records::node_record;
use super::state_machine::SharedStore;

/// Why a process is not accepted as the node that it claims to be.
#[derive(Clone, Debug, Error)]
pub enum NotTheNode {
    /// The node is alive.
    #[error(
        "node {node} runs at {address}; this is a second process with its identity, from a copied data folder\nhint: stop it; \
         to move the node, stop the one at {address}"
    )]
    Twin {
        /// The node.
        node: u64,
        /// Its address.
        address: String,
    },
    /// It may be the node: the node reported a moment ago, but no longer answers.
    #[error(
        "node {node} reported from elsewhere a moment ago; the leader accepts this process as soon as those reports end"
    )]
    Unclear {
        /// The node.
        node: u64,
    },
    /// Its data is older.
    #[error(
        "node {node} was started from a newer state of this data folder\nhint: start the newer one, or remove the node with \
         `disco node rm NODE` and join again with an empty folder"
    )]
    Older {
        /// The node.
        node: u64,
    },
}

/// The start of each node from which this node accepts messages.
pub(super) struct Lives<P: Platform> {
    id: u64,
    own: Start,
    transport: P::Transport,
    raft: OpenRaft<P>,
    store: SharedStore,
    pace: Pace,
    known: Mutex<Known>,
    /// One check per node at a time: a burst of messages shares one check.
    asking: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct Known {
    /// With the time of its last message.
    taken: HashMap<u64, (Life, Instant)>,
    /// By node and start, with the time of the refusal.
    refused: HashMap<(u64, Life), (NotTheNode, Instant)>,
}

// === impl Lives ===

impl<P: Platform> Lives<P> {
    pub(super) fn new(
        id: u64,
        own: Start,
        transport: P::Transport,
        raft: OpenRaft<P>,
        store: SharedStore,
        pace: Pace,
    ) -> Self {
        let (known, asking) = (Mutex::default(), Mutex::default());
        Self { id, own, transport, raft, store, pace, known, asking }
    }

    /// The start of this node itself.
    pub(super) fn own(&self) -> &Start {
        &self.own
    }

    /// Whether to accept messages of a process that claims to be this start of that node.
    pub(super) async fn check(&self, node: u64, claim: Life, earlier: &[u64]) -> Result<(), NotTheNode> {
        if claim.run == 0 {
            return Ok(());
        }
        if let Some(known) = self.known(node, claim) {
            return known;
        }
        let asking = self.asking.lock().entry(node).or_default().clone();
        let _one = asking.lock().await;
        if let Some(known) = self.known(node, claim) {
            return known;
        }
        let address = self.address(node).unwrap_or_default();
        let at_address = self.at(node, &address).await;
        let record = self.store.read(|store| node_record(store, node)).unwrap_or_default();
        let now = Instant::now();
        let mut known = self.known.lock();
        let recent = |at: &Instant| now.duration_since(*at) < self.remembers();
        let heard = known.taken.get(&node).filter(|(_, at)| recent(at)).map(|(life, _)| *life);
        let refusal = match twins::judge(claim, earlier, remembered(&record), at_address, heard) {
            Verdict::Node => {
                known.taken.insert(node, (claim, now));
                return Ok(());
            }
            Verdict::Older => NotTheNode::Older { node },
            Verdict::Twin => NotTheNode::Twin { node, address },
            Verdict::Unclear => NotTheNode::Unclear { node },
        };
        known.refused.retain(|_, (_, at)| recent(at));
        known.refused.insert((node, claim), (refusal.clone(), now));
        Err(refusal)
    }

    /// The result of an earlier check.
    fn known(&self, node: u64, claim: Life) -> Option<Result<(), NotTheNode>> {
        let mut known = self.known.lock();
        if let Some((life, at)) = known.taken.get_mut(&node)
            && *life == claim
        {
            *at = Instant::now();
            return Some(Ok(()));
        }
        let (refusal, at) = known.refused.get(&(node, claim))?;
        (at.elapsed() < self.remembers()).then(|| Err(refusal.clone()))
    }

    /// How long a process counts as alive, and a refusal remains valid.
    fn remembers(&self) -> Duration {
        self.pace.suspect_after()
    }

    fn address(&self, node: u64) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let recorded = metrics.membership_config.membership().get_node(&node).map(|info| info.address.clone())?;
        Some(self.transport.resolve(node, &recorded))
    }

    /// The start of the node that answers at its address in the membership.
    async fn at(&self, node: u64, address: &str) -> Option<Life> {
        if node == self.id {
            return Some(self.own.life);
        }
        if address.is_empty() {
            return None;
        }
        self.transport.identify(node, address, self.pace.reach_within()).await
    }
}

/// The start of a node that the cluster last accepted.
#[must_use]
pub fn remembered(record: &NodeRecord) -> Life {
    Life { number: record.incarnation, run: u64::from_str_radix(&record.run, 16).unwrap_or(0) }
}
