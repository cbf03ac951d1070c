//! The machines as the leader sees them: the input of decisions.

use std::time::Duration;

use disco_planner::repair::{Machine, Stage};
use disco_planner::{Member, Policy};

use crate::cluster::nodes::view::policy;
use crate::node::Node;
use crate::records::{MachineRecord, machine_state as state};

/// The limits of decisions about machines.
#[must_use]
pub fn limits(node: &Node) -> Policy {
    let policy = policy(node);
    // A silent node has the same grace period: its machine may be restarting.
    Policy { dead_after: policy.dead_after.max(policy.unhealthy_after), ..policy }
}

/// The members that are dead, or soon will be.
#[must_use]
pub fn dead(members: &[Member], limits: &Policy) -> Vec<u64> {
    members.iter().filter(|member| member.is_lost(limits)).map(|member| member.id).collect()
}

/// Time since a machine was requested to replace a dead node.
#[must_use]
pub fn since_replacement(records: &[MachineRecord]) -> Option<Duration> {
    records.iter().filter(|record| record.replaces).map(age).min()
}

/// A machine's record as the planner sees it.
#[must_use]
pub fn machine(record: &MachineRecord) -> Machine {
    let stage = match (record.node, record.state.as_str()) {
        (_, state::TERMINATING) => Stage::Leaving,
        (Some(node), _) => Stage::Joined(node),
        (None, _) => Stage::UnderWay { since: age(record) },
    };
    Machine { token: record.token.clone(), stage }
}

/// Time since the machine was requested.
fn age(record: &MachineRecord) -> Duration {
    let since = crate::clock::unix_ms().saturating_sub(record.created_ms);
    Duration::from_millis(u64::try_from(since).unwrap_or(0))
}
