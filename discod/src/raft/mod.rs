//! Raft: the replicated log, its storage, its network and its membership. The only place that names openraft.
//!
//! The rest of the daemon sees [`RaftNode`]: propose a command, read linearizably or not, know who leads, change the
//! membership. Its errors tell apart what may be retried elsewhere ([`RaftError::NotLeader`]), what has an unknown outcome
//! and must be retried with the same request id ([`RaftError::Unknown`]), and what ends the process
//! ([`RaftError::Stopped`]).

mod codec;
mod database;
mod log_store;
mod network;
mod node;
mod pace;
mod read_index;
mod service;
mod snapshot;
mod state_machine;
#[cfg(test)]
mod suite_test;
mod types;

pub use node::{Member, RaftError, RaftNode, RaftSettings, Role};
pub use pace::Pace;
pub use read_index::ReadIndexError;
pub use service::RaftService;
pub use state_machine::SharedStore;
pub use types::NodeInfo;
