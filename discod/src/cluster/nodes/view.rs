//! The members as this leader sees them: the input of decisions.

use std::time::Duration;

use disco_consensus::members::LAG;
use disco_planner::{Member as Planned, Policy};

use crate::node::{Leader, Node, NodeReport};
use crate::raft::Role;
use crate::records::{self, NodeRecord};

/// The limits of decisions at this cluster's pace.
#[must_use]
pub fn policy(node: &Node) -> Policy {
    let (pace, repair, usual) = (node.raft().pace(), node.scripts().repair(), Policy::default());
    Policy {
        suspect_after: pace.suspect_after(),
        unheard_after: pace.unheard_after(),
        dead_after: pace.dead_after(),
        unhealthy_after: repair.grace().unwrap_or(usual.unhealthy_after),
        replace_every: repair.every().unwrap_or(usual.replace_every),
        ..usual
    }
}

/// The members as the planner sees them.
#[must_use]
pub fn planned(leader: &Leader) -> Vec<Planned> {
    planned_with(leader, &leader.raft().store().read(records::nodes))
}

/// Like [`planned`]; `nodes` are the nodes' records.
#[must_use]
pub fn planned_with(leader: &Leader, nodes: &[NodeRecord]) -> Vec<Planned> {
    let last = leader.raft().last_index();
    let acknowledged = leader.raft().acknowledged();
    let leaving = |id: u64| nodes.iter().any(|node| node.id == id && node.leaving);
    let members = leader.raft().members().into_iter().map(|member| {
        let own = member.id == leader.id();
        let heard = leader.reports().get(member.id);
        let seen = heard
            .iter()
            .map(|heard: &NodeReport| heard.at.elapsed())
            .chain(acknowledged.get(&member.id).copied())
            .min();
        let retiring = match &heard {
            _ if own => leader.retirement().notice().is_some(),
            Some(heard) => !heard.report.retiring.is_empty(),
            None => false,
        };
        let unhealthy_since = heard.as_ref().and_then(|heard| heard.unhealthy_since);
        Planned {
            id: member.id,
            voter: member.role == Role::Voter,
            leader: own,
            silent_for: seen.unwrap_or_else(|| leader.reports().listening_for()),
            up_to_date: own || member.matched.is_some_and(|matched| matched + LAG >= last),
            draining: leaving(member.id) || heard.is_some_and(|heard| heard.report.draining),
            retiring,
            unhealthy_for: unhealthy_since.map_or(Duration::ZERO, |since| since.elapsed()),
            spared: false,
        }
    });
    members.collect()
}
