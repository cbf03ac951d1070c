//! Raft: the replicated log, its storage, its membership and its reads. It does not know what carries its messages, where it
//! keeps its data, and what runs its tasks: a [`Platform`] provides these. `discod` runs it on gRPC, files and tokio; the
//! simulation on simulated TCP, disks that lose what was not synced, and a runtime whose randomness is a function of the seed.
//!
//! Users see [`RaftNode`]: propose a command, read linearizably or not, observe leadership, change the membership. Its
//! errors distinguish what may be retried elsewhere ([`RaftError::NotLeader`]), what has an unknown outcome and must be
//! retried with the same request id ([`RaftError::Unknown`]), and what ends the process ([`RaftError::Stopped`]).

pub mod append_stream;
pub mod codec;
#[cfg(test)]
mod codec_test;
mod database;
pub mod disk;
mod files;
mod follow;
mod heard;
mod journal;
mod lives;
mod log_bound;
mod log_file;
mod log_mark;
mod log_store;
mod log_writer;
pub mod members;
#[cfg(test)]
mod members_test;
mod membership;
mod node;
mod offline;
pub mod pace;
mod platform;
mod progress;
mod read_index;
mod records;
mod recover;
mod restore;
mod snapshot;
#[cfg(test)]
mod snapshot_test;
mod space;
mod state_machine;
#[cfg(test)]
mod suite_test;
mod ticks;
pub mod types;

pub use disco_planner::Pace;
pub use files::Files;
pub use lives::{NotTheNode, remembered};
pub use log_store::{LogStore, payload_bytes};
pub use membership::{Member, Role};
pub use node::{Leadership, OpenRaft, Parts, RaftError, RaftNode, RaftSettings};
pub use offline::perform_requests;
pub use pace::config as openraft_config;
pub use platform::{Platform, Transport};
pub use progress::Progress;
pub use read_index::{ReadIndex, ReadIndexError};
pub use records::node_record;
pub use recover::Recovery;
pub use restore::{check as check_backup, place as restore_place};
pub use snapshot::{SnapshotDir, SnapshotFile};
pub use space::{FreeSpace, Space};
pub use state_machine::{SharedStore, SnapshotBuilder, StateMachine};
pub use types::NodeInfo;
