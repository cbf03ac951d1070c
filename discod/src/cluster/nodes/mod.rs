//! The nodes of a cluster: how they come, how they are, and what they do for whoever asks.

pub mod admission;
pub mod commands;
pub mod confirm;
pub mod files;
pub mod leadership;
pub mod recover;
pub mod relocate;
pub mod removal;
pub mod run;
pub mod status;
pub mod view;
pub mod voter_secrets;
