//! Existing machines, given as `user@host:port`.
//!
//! Nothing is made or destroyed here: a start hands out the next unused host. Hosts do not store the token, so the used ones are
//! known from [`StartRequest::known`](crate::StartRequest::known) and from this object's own memory, which keeps concurrent
//! requests apart.
//!
//! A machine has three addresses: that of its SSH server, the one by which other nodes reach its daemon, and the one to which the
//! daemon binds. Only the first is always given; the second is resolved from its name, the third comes from
//! [`crate::install::Remote::listen_address`].
//!
//! This module connects to no machine: whether one is up is determined by its callers.

mod address;
mod known;
mod localize;
mod merge;
mod options;
mod provider;
mod resolve;

pub use known::KnownMachine;
pub use localize::{first, localize};
pub use merge::merge;
pub use provider::HostsProvider;

pub(crate) use address::{Address, parse_host};
