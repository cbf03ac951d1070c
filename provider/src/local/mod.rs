//! Machines on this computer: each is a folder, a loopback address of its own and a process that answers SSH on it.

mod options;
mod provider;

pub use provider::LocalProvider;
