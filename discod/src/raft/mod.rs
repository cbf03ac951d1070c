//! Raft over gRPC: what [`disco_consensus`] needs from the daemon. The rest of the daemon sees [`RaftNode`].

mod append_link;
#[cfg(test)]
mod append_stream_test;
#[cfg(test)]
mod membership_test;
mod message;
mod network;
mod service;

use std::io;
use std::path::Path;

use disco_consensus::{Files, Parts, Platform, StateMachine};
use disco_store::Limits;
use openraft::impls::TokioRuntime;

use crate::peers::Peers;
use network::Network;

pub use disco_consensus::{
    Leadership, Member, NodeInfo, NotTheNode, Pace, RaftError, RaftSettings, ReadIndexError, Recovery, Role,
    SharedStore, check_backup, node_record, remembered, restore_place,
};
pub use service::RaftService;

/// Files in the data folder, gRPC, and tokio.
pub struct Daemon;

/// This node's Raft.
pub type RaftNode = disco_consensus::RaftNode<Daemon>;

impl Platform for Daemon {
    type Runtime = TokioRuntime;
    type Disk = Files;
    type Machine = StateMachine<Files>;
    type Transport = Network;
}

/// Opens the log in the data folder, and starts Raft.
///
/// # Errors
/// The data folder is unusable: unreadable, damaged, or open in another process.
pub async fn open(data_dir: &Path, limits: Limits, settings: RaftSettings, peers: Peers) -> io::Result<RaftNode> {
    let files = Files::open(data_dir)?;
    disco_consensus::perform_requests(data_dir, &files, settings.node_id, limits).await?;
    let network = Network { peers, node_id: settings.node_id, start: settings.start.clone() };
    RaftNode::open(settings, Parts::open(files, limits, network)?).await
}
