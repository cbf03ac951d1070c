//! What a node keeps: a disk that loses what was not synced, the log on it, and the state machine.

mod disk;
mod log;
mod machine;

pub use disk::{Disk, DiskFault};
pub use log::Log;
pub use machine::{SharedStore, StateMachine, encode};
