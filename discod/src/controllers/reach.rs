//! Hands over leadership when other nodes cannot call the leader.
//!
//! Raft does not notice: its messages travel on the leader's own connections. [`disco_planner::reach`] decides.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use disco_consensus::members::LAG;
use disco_planner::reach::{self, Heard, Verdict, View};
use disco_proto::v1::ReachRequest;
use futures_util::future::{join, join_all};

use super::driver::{Controller, Outcome, Schedule};
use crate::cluster::nodes::view::policy;
use crate::node::Leader;
use crate::raft::{Member, Role};
use crate::records::{self, Severity};

/// Time for the request and its answer, in addition to the attempts themselves.
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// Hands leadership over when a majority of the voters cannot connect to this node.
#[derive(Default)]
pub(super) struct Reach {
    /// Whether it was recorded that no voter could take over.
    is_recorded: bool,
}

// === impl Reach ===

impl Controller for Reach {
    const NAME: &'static str = "reach";

    fn schedule(&self, leader: &Leader) -> Schedule {
        Schedule { period: leader.raft().pace().report(), on_wake_up: false, on_revision: None, pause: None }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        let voters = voters(leader);
        if !is_suspect(leader, &voters) {
            self.is_recorded = false;
            return Ok(Outcome::Settled);
        }
        let views = views(leader, &voters).await;
        // Each pass costs every voter a connection to every other.
        let rests = Outcome::Rests(leader.raft().pace().unheard_after());
        match reach::verdict(leader.id(), voters.len(), &views) {
            Verdict::Lead => return Ok(rests),
            Verdict::NobodyBetter if self.is_recorded => return Ok(rests),
            Verdict::NobodyBetter => {
                self.is_recorded = true;
                record(leader, "and a majority can call no other voter, so it continues to lead").await;
            }
            Verdict::HandOver(to) => {
                let name = records::node_name(leader, to);
                record(leader, &format!("so it hands over to {name}, to which they can connect")).await;
                // A node that cannot be called may not learn of the next leader either.
                let handed = leader.raft().transfer_leadership(Some(to)).await;
                handed.with_context(|| format!("handing leadership over to {name}: outcome unknown"))?;
                tracing::warn!(to, "handed over leadership: other nodes cannot connect to this node");
            }
        }
        Ok(Outcome::Settled)
    }
}

/// The voters; empty while a change of them is in progress.
fn voters(leader: &Leader) -> Vec<Member> {
    if leader.raft().is_joint() {
        return Vec::new();
    }
    leader.raft().members().into_iter().filter(|member| member.role == Role::Voter).collect()
}

fn is_suspect(leader: &Leader, voters: &[Member]) -> bool {
    let (acknowledged, listening) = (leader.raft().acknowledged(), leader.reports().listening_for());
    let heard = voters.iter().filter(|voter| voter.id != leader.id()).map(|voter| Heard {
        answered: acknowledged.get(&voter.id).copied().unwrap_or(listening),
        reported: leader.reports().get(voter.id).map_or(listening, |heard| heard.at.elapsed()),
    });
    reach::is_suspect(&heard.collect::<Vec<_>>(), &policy(leader))
}

/// Has all voters that answer, this one included, try to call each other.
async fn views(leader: &Leader, voters: &[Member]) -> Vec<View> {
    let (acknowledged, suspect_after) = (leader.raft().acknowledged(), leader.raft().pace().suspect_after());
    let ids: Vec<u64> = voters.iter().map(|voter| voter.id).collect();
    let answering = voters.iter().filter(|voter| {
        voter.id != leader.id() && acknowledged.get(&voter.id).is_some_and(|since| *since <= suspect_after)
    });
    let ids = &ids;
    let others = join_all(answering.map(|voter| async move {
        let to = ids.iter().copied().filter(|id| *id != voter.id).collect();
        View { id: voter.id, fit: is_fit(leader, voter), reaches: request_reach(leader, voter.id, to).await }
    }));
    let own = crate::node::reached(leader, ids.iter().copied().filter(|id| *id != leader.id()));
    let (own, mut views) = join(own, others).await;
    views.push(View { id: leader.id(), fit: true, reaches: Some(own) });
    views
}

/// The nodes of these that a node can call; `None` if it does not answer. The request uses the connection of the heartbeats.
async fn request_reach(leader: &Leader, id: u64, nodes: Vec<u64>) -> Option<BTreeSet<u64>> {
    let mut client = leader.member_client(id)?;
    let limit = leader.raft().pace().reach_within() + ROUND_TRIP;
    match tokio::time::timeout(limit, client.reach(ReachRequest { nodes })).await {
        Ok(Ok(answer)) => Some(answer.reached.into_iter().collect()),
        Ok(Err(error)) => {
            tracing::debug!(node = id, %error, "no answer about the nodes that it can connect to");
            None
        }
        Err(_) => None,
    }
}

/// Whether a voter may lead, by its last report, even if that is old.
fn is_fit(leader: &Leader, voter: &Member) -> bool {
    let last = leader.raft().last_index();
    let heard = leader.reports().get(voter.id);
    let hindered = heard.is_some_and(|heard| {
        let report = &heard.report;
        report.draining || report.disk_low || !report.retiring.is_empty() || heard.unhealthy_since.is_some()
    });
    !hindered && voter.matched.is_some_and(|matched| matched + LAG >= last)
}

async fn record(leader: &Leader, consequence: &str) {
    let text =
        format!("{} leads, but most voters cannot connect to it at {}, {consequence}", leader.name(), leader.address());
    records::emit_in_term(leader, "leader.unreachable", Severity::Warning, Some(leader.id()), text).await;
}
