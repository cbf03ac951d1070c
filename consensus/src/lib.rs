//! Raft: the replicated log, independent of what carries its messages and of what runs its tasks.
//!
//! `discod` runs it on gRPC and tokio; the simulation on simulated TCP, and on a runtime whose randomness is a function
//! of the seed.

pub mod append_stream;
pub mod codec;
#[cfg(test)]
mod codec_test;
pub mod pace;
pub mod types;

pub use pace::Pace;
