//! A node's storage: a disk that loses unsynced data, the log on it, and the state machine.

mod disk;
mod log;
mod machine;

pub use disk::{Disk, DiskFault};
pub use log::Log;
pub use machine::{SharedStore, StateMachine, encode};
