//! A node's storage: a disk that loses unsynced data, and the daemon's log and state machine on it.

mod disk;
mod machine;
mod node_disk;

pub use disk::{Disk, DiskFault};
pub use machine::Machine;
pub use node_disk::{NodeDisk, Snapshot, encode};
