//! Machines: their providers ([`Provider`]), connections to them ([`ssh`]) and the installation of Disco ([`install`]).
//!
//! The client and the daemon both use this crate: the client for the first node, the leader for all others. A provider
//! only manages machines; [`install`] installs the programs over SSH, in the same way for every provider.
//!
//! Invariants:
//! - Starting is idempotent by token: the same token never starts a second machine, for any caller and any number of requests.
//! - A provider holds no state that it cannot read again from the place of its machines (a folder, a cloud account), so that it
//!   may be recreated in another process at any time.

mod announcements;
#[cfg(feature = "aws")]
pub mod aws;
mod capabilities;
mod detach;
mod error;
mod files;
pub mod hosts;
pub mod install;
pub mod local;
mod machine;
pub mod plan;
mod price;
mod process;
mod provider;
mod spec;
pub mod ssh;
mod start_request;
pub mod supervise;
pub mod terminal;

/// The hidden subcommand of `discod` that ends all tasks of a node whose daemon does not run; its argument is the data folder.
pub const END_TASKS_SUBCOMMAND: &str = "end-tasks";

pub use announcements::Announcements;
pub use capabilities::Capabilities;
pub use disco_planner::Pace;
pub use error::ProviderError;
pub use files::at_home;
pub use hosts::KnownMachine;
pub use machine::{Machine, MachineState, SshTarget};
pub use price::{Budget, OverBudget, Usd};
pub use provider::{Finding, Provider};
pub use spec::{ProviderContext, from_spec};
pub use start_request::{ProgressSink, StartRequest};
