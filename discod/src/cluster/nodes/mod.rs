//! The nodes of a cluster: admission, status, removal, and commands on them.

pub mod admission;
pub mod commands;
pub mod confirm;
pub mod files;
pub mod leadership;
pub mod moving;
pub mod own;
pub mod recover;
pub mod relocate;
pub mod removal;
pub mod run;
pub mod status;
pub mod view;
pub mod voter_secrets;
