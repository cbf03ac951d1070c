//! The cluster's decisions about itself, without doing any of them.
//!
//! Every function here takes what is known and gives what to do next. No clock, no network, no randomness: the same view
//! gives the same answer on every leader, and each answer is one step that leaves a cluster which can take the next.
//!
//! - [`voters`]: who votes.
//! - [`repair`]: which machines to start, go on with and give up.
//! - [`forecast`]: what comes of all steps of `repair` together.
//! - [`scale`]: which nodes go when the cluster shrinks, and whether it may.
//! - [`dead`]: which members do not come back.
//! - [`quorum`]: whether the living voters can decide anything.
//! - [`reach`]: whether the leader can be called, and who leads where it cannot.
//! - [`wish`]: what comes of the number of nodes that a script asks for.
//! - [`twins`]: which of two processes with one node's identity is the node.
//! - [`upgrade`]: which node gets a new binary next, and which goes back.

pub mod dead;
pub mod forecast;
pub mod quorum;
pub mod reach;
pub mod repair;
pub mod scale;
pub mod twins;
pub mod upgrade;
pub mod voters;
pub mod wish;

mod member;

pub use member::{Member, Policy};
