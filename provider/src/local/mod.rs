//! Machines on this computer: each is a folder, a loopback address and a process with an SSH server on it (see
//! [`crate::local::machine`]).
//!
//! All state is in the provider's folder, so that any number of processes may use it at the same time:
//! ```text
//! lock              held while a machine is being made
//! network.json      the used part of 127.0.0.0/8, the next number, and the folder's id
//! local-1/          a machine; the folder appears and disappears atomically (by renaming)
//!   machine.json    its immutable record: name, token, addresses
//!   process.json    its last process
//!   control         lock, held while it is being started or stopped
//!   running         lock, held by its process as long as that lives
//!   host_key        its private SSH host key
//!   machine.log     the log of its process
//!   home/           its disk, with `.ssh/authorized_keys`
//! ```
//!
//! Invariants:
//! - No path is stored, neither in a file nor in a machine's process, so the folder may be moved at any time. A machine finds its
//!   folder by its working directory, and so do processes on it ([`OwnMachine`]).
//! - A copy of the folder has everything but the machines: a machine belongs to this folder only if its process holds the lock in
//!   this very folder. No other process is ever signalled, except remaining processes of a run that has ended.
//! - A machine belongs to one cluster, by the cluster's id; a provider of another cluster neither lists nor ends it, although they
//!   may share the folder.

mod addresses;
mod folder;
mod launch;
pub mod machine;
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
