//! The membership: admitted nodes become learners, learners become voters, dead voters are replaced, one change at a time.
//!
//! [`disco_planner`] decides what to change; `view` collects its input, and `act` performs it.

mod act;
mod signing_keys;
mod view;

use anyhow::Result;
use disco_planner::{dead, members, voters};

use super::driver::{Controller, Outcome, Schedule};
use crate::cluster::nodes::own;
use crate::cluster::nodes::view::{planned, policy};
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
        Ok(if reconcile(leader).await? { Outcome::Changed } else { Outcome::Settled })
    }
}

/// Checks the membership and makes at most one change. True if something was changed.
async fn reconcile(leader: &Leader) -> Result<bool> {
    let present = leader.raft().members();
    let (own, nodes, policy) = (view::leader(leader), view::nodes(leader, &present), policy(leader));
    if let Some(step) = members::next(&own, &nodes, &policy) {
        act::perform(leader, &present, step).await?;
        return Ok(true);
    }
    if act::give_secrets_to(leader, &members::without_secrets(&own, &nodes)).await
        || signing_keys::retire(leader, &present).await?
    {
        return Ok(true);
    }
    if leader.raft().is_joint() {
        act::finish_change(leader, &present).await?;
        return Ok(true);
    }
    if let Some(change) = voters::next_change(&planned(leader), &policy) {
        act::change_voters(leader, &present, change).await?;
        return Ok(true);
    }
    if super::format::raise(leader, &present).await? {
        return Ok(true);
    }
    let Some(id) = dead::to_remove(&planned(leader), &policy) else { return Ok(false) };
    act::remove_dead(leader, id).await?;
    Ok(true)
}
