//! The operations of a cluster, with domain types in and [`Error`] out.
//!
//! Nothing here depends on the caller: a gRPC request, an etcd client, a script, a controller, or this node itself.
//! Callers adapt their own types and errors. The messages of `disco_proto` are plain data here; no operation knows
//! their transport.
//!
//! An operation that only the leader can do takes the [`Leader`](crate::node::Leader).

pub mod artifacts;
pub mod backups;
pub mod certificates;
mod error;
mod executor;
pub mod leases;
pub mod machines;
pub mod metrics;
pub mod nodes;
pub mod recorded;
pub mod scripts;
pub mod secrets;
pub mod tasks;
pub mod tokens;
pub mod upgrade;
pub mod workloads;

pub use error::{Error, Result};
pub use executor::{Executor, leader, leader_for_sessions, member, member_for_sessions};
