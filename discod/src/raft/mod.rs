//! Raft: the replicated log, its storage, its network and its membership. The only place that uses openraft.
//!
//! The rest of the daemon sees [`RaftNode`]: propose a command, read linearizably or not, observe leadership, change
//! the membership. Its errors distinguish what may be retried elsewhere ([`RaftError::NotLeader`]), what has an unknown
//! outcome and must be retried with the same request id ([`RaftError::Unknown`]), and what ends the process
//! ([`RaftError::Stopped`]).

mod append_link;
#[cfg(test)]
mod append_stream_test;
mod database;
mod follow;
mod heard;
mod journal;
mod lives;
mod log_bound;
mod log_file;
mod log_mark;
mod log_store;
mod log_writer;
mod membership;
#[cfg(test)]
mod membership_test;
mod network;
mod node;
mod offline;
mod read_index;
mod records;
mod recover;
mod restore;
mod service;
mod snapshot;
#[cfg(test)]
mod snapshot_test;
mod space;
mod state_machine;
#[cfg(test)]
mod suite_test;

use disco_consensus::{append_stream, codec, pace, types};
pub use lives::{NotTheNode, remembered};
pub use membership::{Member, Role};
pub use node::{Leadership, RaftError, RaftNode, RaftSettings};
pub use pace::Pace;
pub use read_index::ReadIndexError;
pub use records::node_record;
pub use recover::Recovery;
pub use restore::{check as check_backup, place as restore_place};
pub use service::RaftService;
pub use state_machine::SharedStore;
pub use types::NodeInfo;
