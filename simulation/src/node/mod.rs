//! A node's process: a small `discod`.

mod members;
mod process;
mod raft_ops;
mod reach;
pub mod records;
mod serve;
mod writes;

pub use process::{Host, HostState, Process, address, start};
