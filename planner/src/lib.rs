//! The cluster's decisions about itself. Nothing here executes them.
//!
//! Every function takes the known state and returns the next step. No clock, no network, no randomness: the same view
//! yields the same answer on every leader, and each answer is one step that leaves a cluster which can take the next.
//!
//! - [`members`]: who joins, what is recorded about a node, and whether the leader hands over.
//! - [`voters`]: who votes.
//! - [`repair`]: which machines to start, continue and give up.
//! - [`forecast`]: the combined result of all steps of `repair`.
//! - [`scale`]: which nodes leave when the cluster shrinks, and whether it may.
//! - [`Pace`]: how long the nodes wait for each other.
//! - [`jobs`]: which times of a job's schedule are due.
//! - [`dead`]: which members do not return.
//! - [`quorum`]: whether the living voters can decide anything.
//! - [`reach`]: whether other nodes can reach the leader, and who leads if they cannot.
//! - [`wish`]: how the number of nodes that a script requests changes the target size.
//! - [`twins`]: which of two processes with one node's identity is the node.
//! - [`placement`]: which task runs on which node.
//! - [`rollout`]: the next steps from one version of a service to another.
//! - [`upgrade`]: which node gets a new binary next, and which one is rolled back.

pub mod dead;
pub mod forecast;
pub mod jobs;
pub mod members;
pub mod placement;
pub mod quorum;
pub mod reach;
pub mod repair;
pub mod rollout;
pub mod scale;
pub mod twins;
pub mod upgrade;
pub mod voters;
pub mod wish;

mod member;
mod pace;

pub use member::{Member, Policy};
pub use pace::{Pace, UnknownPace};
