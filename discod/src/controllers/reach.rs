//! A leader that the others cannot call hands over to one that they can.
//!
//! Raft does not notice: its messages travel on the leader's own connections. What is decided is decided by
//! [`disco_planner::reach`].

use std::collections::BTreeSet;
use std::time::Duration;

use disco_planner::reach::{self, Heard, Verdict, View};
use disco_proto::v1::ReachRequest;
use futures_util::future::{join, join_all};
use tokio::time::MissedTickBehavior;

use crate::cluster::nodes::view::{LAG, policy};
use crate::node::Node;
use crate::raft::{Member, Role};
use crate::records::{self, Severity};

/// Beside the tries themselves, for the question and its answer.
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// Until this node leads no more.
pub(super) async fn run(node: &Node, term: u64) {
    let pace = node.raft().pace();
    let mut ticks = tokio::time::interval(pace.report());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // That it cannot be called and leads on is said once.
    let mut said = false;
    loop {
        ticks.tick().await;
        let voters = voters(node);
        if !is_suspect(node, &voters) {
            said = false;
            continue;
        }
        let views = views(node, &voters).await;
        match reach::verdict(node.id(), voters.len(), &views) {
            // Each look costs every voter a connection to every other.
            Verdict::Lead => tokio::time::sleep(pace.unheard_after()).await,
            Verdict::NobodyBetter if said => tokio::time::sleep(pace.unheard_after()).await,
            Verdict::NobodyBetter => {
                said = true;
                tell(node, term, "and no other voter could be called by a majority, so it leads on").await;
            }
            Verdict::HandOver(to) => {
                let name = records::node_name(node, to);
                tell(node, term, &format!("so it hands over to {name}, which they can connect to")).await;
                match node.raft().transfer_leadership(Some(to)).await {
                    Ok(to) => tracing::warn!(to, "handed over leadership, as others cannot connect to this node"),
                    // Who cannot be called may not hear who leads now, either.
                    Err(error) => tracing::warn!(to, %error, "it is not known yet whether leadership was handed over"),
                }
            }
        }
    }
}

/// The voters, or nobody while their number changes.
fn voters(node: &Node) -> Vec<Member> {
    if node.raft().is_joint() {
        return Vec::new();
    }
    node.raft().members().into_iter().filter(|member| member.role == Role::Voter).collect()
}

fn is_suspect(node: &Node, voters: &[Member]) -> bool {
    let (acknowledged, listening) = (node.raft().acknowledged(), node.vitals().listening_for());
    let heard = voters.iter().filter(|voter| voter.id != node.id()).map(|voter| Heard {
        answered: acknowledged.get(&voter.id).copied().unwrap_or(listening),
        reported: node.vitals().get(voter.id).map_or(listening, |vital| vital.at.elapsed()),
    });
    reach::is_suspect(&heard.collect::<Vec<_>>(), &policy(node))
}

/// Has all voters that answer try to call each other, this one too.
async fn views(node: &Node, voters: &[Member]) -> Vec<View> {
    let (acknowledged, suspect_after) = (node.raft().acknowledged(), node.raft().pace().suspect_after());
    let ids: Vec<u64> = voters.iter().map(|voter| voter.id).collect();
    let answering = voters.iter().filter(|voter| {
        voter.id != node.id() && acknowledged.get(&voter.id).is_some_and(|since| *since <= suspect_after)
    });
    let ids = &ids;
    let others = join_all(answering.map(|voter| async move {
        let to = ids.iter().copied().filter(|id| *id != voter.id).collect();
        View { id: voter.id, fit: is_fit(node, voter), reaches: ask(node, voter.id, to).await }
    }));
    let own = crate::node::reached(node, ids.iter().copied().filter(|id| *id != node.id()));
    let (own, mut views) = join(own, others).await;
    views.push(View { id: node.id(), fit: true, reaches: Some(own) });
    views
}

/// Whom of these a node can call; `None` where it does not say. The question goes the way of the heartbeats.
async fn ask(node: &Node, id: u64, nodes: Vec<u64>) -> Option<BTreeSet<u64>> {
    let mut client = node.member_client(id)?;
    let limit = node.raft().pace().reach_within() + ROUND_TRIP;
    match tokio::time::timeout(limit, client.reach(ReachRequest { nodes })).await {
        Ok(Ok(answer)) => Some(answer.reached.into_iter().collect()),
        Ok(Err(error)) => {
            tracing::debug!(node = id, %error, "did not say whom it can connect to");
            None
        }
        Err(_) => None,
    }
}

/// May lead. What it has last reported of itself counts, although that is older than its silence.
fn is_fit(node: &Node, voter: &Member) -> bool {
    let last = node.raft().last_index();
    let vital = node.vitals().get(voter.id);
    let hindered = vital.is_some_and(|vital| {
        let report = &vital.report;
        report.draining || report.disk_low || !report.retiring.is_empty() || vital.unhealthy_since.is_some()
    });
    !hindered && voter.matched.is_some_and(|matched| matched + LAG >= last)
}

async fn tell(node: &Node, term: u64, what: &str) {
    let text = format!("{} leads, but most voters cannot connect to it at {}, {what}", node.name(), node.address());
    records::emit_in_term(node, term, "leader.unreachable", Severity::Warning, Some(node.id()), text).await;
}
