//! Machines on this computer: each is a folder, a loopback address of its own and a process that answers SSH on it (see
//! [`crate::machine`]).
//!
//! All state is in the provider's folder, so that any number of processes may use it at the same time:
//! ```text
//! lock              held while a machine is being made
//! network.json      which part of 127.0.0.0/8 is used, the next number, and the folder's id
//! local-1/          a machine; the folder appears whole (by renaming) and disappears whole
//!   machine.json    what does not change: name, token, addresses
//!   process.json    the process that was it last
//!   control         lock, held while it is being started or stopped
//!   running         lock, held by its process as long as that lives
//!   host_key        its private SSH host key
//!   machine.log     what its process had to say
//!   home/           its disk, with `.ssh/authorized_keys`
//! ```
//!
//! Invariants:
//! - No path is kept anywhere, neither in a file nor by a machine's process, so the folder may be moved at any time. A machine
//!   knows its place by its working directory, and what runs on it by its own ([`OwnMachine`]).
//! - A copy of the folder has everything but the machines: one is this folder's only if its process holds the lock in this very
//!   folder. Nothing else is ever signalled, but what is left of a life that has ended.
//! - A machine is of one cluster, by that one's id; a provider of another cluster neither lists nor ends it, though they may
//!   share the folder.

mod addresses;
mod folder;
mod launch;
mod options;
mod own;
mod provider;
mod record;
mod running;
mod store;

pub(crate) use folder::{MachineFolder, environment_marks};
pub use own::OwnMachine;
pub(crate) use own::places;
pub use provider::LocalProvider;
pub(crate) use record::MachineRecord;
pub use running::RunningMachine;
