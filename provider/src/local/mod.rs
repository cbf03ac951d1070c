//! Machines on this computer: each is a folder, a loopback address of its own and a process that answers SSH on it (see
//! [`crate::machine`]).
//!
//! All state is in the provider's folder, so that any number of processes may use it at the same time:
//! ```text
//! lock              held while a machine is being made
//! network.json      which part of 127.0.0.0/8 is used, and the next number
//! local-1/          a machine; the folder appears whole (by renaming) and disappears whole
//!   machine.json    what does not change: name, token, addresses
//!   process.json    the process that was it last
//!   control         lock, held while it is being started or stopped
//!   running         lock, held by its process as long as that lives
//!   host_key        its private SSH host key
//!   machine.log     what its process had to say
//!   home/           its disk, with `.ssh/authorized_keys`
//! ```

mod addresses;
mod folder;
mod launch;
mod options;
mod provider;
mod record;
mod store;

pub(crate) use folder::{MachineFolder, environment_marks};
pub use provider::LocalProvider;
pub(crate) use record::MachineRecord;
