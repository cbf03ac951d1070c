//! A node's process: what `discod` does, in small.

mod members;
mod process;
mod raft_ops;
mod reach;
pub mod records;
mod serve;
mod writes;

pub use process::{Host, HostState, Process, address, start};
