//! The nodes of a cluster: how they come, how they are, and what they do for whoever asks.

pub mod admission;
pub mod commands;
pub mod files;
pub mod run;
pub mod status;
