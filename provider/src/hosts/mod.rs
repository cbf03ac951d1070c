//! Machines that exist already and are given as `user@host:port`.
//!
//! Nothing is made and nothing is destroyed here: starting hands out the next host that is not in use. Hosts carry no mark
//! of the token, so what is in use is known from [`StartRequest::known`](crate::StartRequest::known) and from this object's own memory, which keeps
//! two requests at the same time apart.

mod address;
mod options;
mod provider;

pub use provider::HostsProvider;
