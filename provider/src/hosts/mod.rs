//! Machines that exist already and are given as `user@host:port`.
//!
//! Nothing is made and nothing is destroyed here: starting hands out the next host that is not in use. Hosts carry no mark
//! of the token, so what is in use is known from [`StartRequest::known`](crate::StartRequest::known) and from this object's own memory, which keeps
//! two requests at the same time apart.
//!
//! Where a machine answers SSH, how other nodes reach its daemon, and where that daemon binds are three addresses. Only the
//! first is always said; the second is found by its name, the third by [`crate::install::Remote::listen_address`].
//!
//! Nobody is connected to here: whether a machine is up is found by whoever needs it.

mod address;
mod known;
mod merge;
mod options;
mod provider;
mod resolve;

pub use known::KnownMachine;
pub use merge::merge;
pub use provider::HostsProvider;

pub(crate) use address::parse_host;
