//! The members as this leader sees them: the input of decisions.

use std::time::Duration;

use disco_planner::{Member as Planned, Policy};

use crate::node::Node;
use crate::raft::Role;
use crate::records;
use crate::vitals::Vital;

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
pub fn planned(node: &Node) -> Vec<Planned> {
    let last = node.raft().last_index();
    let acknowledged = node.raft().acknowledged();
    let nodes = node.raft().store().read(records::nodes);
    let leaving = |id: u64| nodes.iter().any(|node| node.id == id && node.leaving);
    let members = node.raft().members().into_iter().map(|member| {
        let own = member.id == node.id();
        let vital = node.vitals().get(member.id);
        let seen =
            vital.iter().map(|vital: &Vital| vital.at.elapsed()).chain(acknowledged.get(&member.id).copied()).min();
        let retiring = match &vital {
            _ if own => node.retirement().notice().is_some(),
            Some(vital) => !vital.report.retiring.is_empty(),
            None => false,
        };
        let unhealthy_since = vital.as_ref().and_then(|vital| vital.unhealthy_since);
        Planned {
            id: member.id,
            voter: member.role == Role::Voter,
            leader: own,
            silent_for: seen.unwrap_or_else(|| node.vitals().listening_for()),
            up_to_date: own || member.matched.is_some_and(|matched| matched + LAG >= last),
            draining: leaving(member.id) || vital.is_some_and(|vital| vital.report.draining),
            retiring,
            unhealthy_for: unhealthy_since.map_or(Duration::ZERO, |since| since.elapsed()),
            spared: false,
        }
    });
    members.collect()
}

/// Entries that a learner may lack and still count as up to date: what comes in during a round trip or two.
pub const LAG: u64 = 100;
