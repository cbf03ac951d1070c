//! A node's process: a small `discod`.

mod members;
mod process;
mod reach;
pub mod records;
mod serve;
mod writes;

pub use process::{Host, HostState, Process, address, start};
