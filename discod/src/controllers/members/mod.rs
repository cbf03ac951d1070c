//! The membership: admitted nodes become learners, learners become voters, dead voters are replaced, one change at a time.
//!
//! The pass itself is [`disco_consensus::members`], which the simulation runs too; `view` collects its input, and `act` does
//! what a change requires beside Raft, through `leading`.

mod act;
mod leading;
mod signing_keys;
mod view;

#[cfg(test)]
mod tests;

use anyhow::Result;
use disco_consensus::members;

use super::driver::{Controller, Outcome, Schedule};
use crate::cluster::nodes::own;
use crate::node::Leader;

/// Changes the membership as the planner decides, one change at a time.
pub(super) struct Members;

// === impl Members ===

impl Controller for Members {
    const NAME: &'static str = "members";

    fn schedule(&self, leader: &Leader) -> Schedule {
        Schedule { period: leader.raft().pace().report(), on_wake_up: true, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        // The leader's own report, in addition to those of the others.
        leader.reports().record(own::report(leader));
        Ok(if members::pass(&act::Acting(leader)).await? { Outcome::Changed } else { Outcome::Settled })
    }
}
