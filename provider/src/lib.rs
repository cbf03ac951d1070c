//! Machines: where they come from ([`Provider`]), how to reach them ([`ssh`]) and how Disco gets onto them ([`install`]).
//!
//! The client and the daemon both use this crate: the client for the first node, the leader for all others. A provider
//! knows machines alone; what runs on them is put there over SSH by [`install`], in the same way for every provider.
//!
//! Invariants:
//! - Starting is idempotent by token: the same token never makes a second machine, whoever asks and however often.
//! - A provider remembers nothing that it cannot read again from where its machines live (a folder, a cloud account),
//!   so that it may be made anew in another process at any time.

mod announcements;
#[cfg(feature = "aws")]
pub mod aws;
mod capabilities;
mod detach;
mod error;
mod files;
pub mod hosts;
pub mod install;
mod instance;
pub mod local;
pub mod machine;
pub mod plan;
mod price;
mod process;
mod provider;
mod spec;
pub mod ssh;
mod start_request;
pub mod supervise;

pub use announcements::Announcements;
pub use capabilities::{Capabilities, Pace};
pub use error::ProviderError;
pub use hosts::KnownMachine;
pub use instance::{Instance, InstanceState, SshTarget};
pub use price::{Budget, OverBudget, Usd};
pub use provider::{Finding, Provider};
pub use spec::{ProviderContext, from_spec};
pub use start_request::{ProgressSink, StartRequest};
