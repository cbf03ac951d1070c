//! Members and reporting nodes as the planner sees them.

use std::time::Duration;

use disco_consensus::members;
use disco_planner::members::{Leader as Own, Node, Record, Report};
use disco_planner::twins::Life;

use crate::node::{Leader, NodeReport};
use crate::raft::{Member, remembered};
use crate::records;

/// The leader's own state.
pub(super) fn leader(leader: &Leader) -> Own {
    let space = leader.raft().room();
    let unhealthy_since = leader.reports().get(leader.id()).and_then(|heard| heard.unhealthy_since);
    let serial = leader.signing_serial();
    let signing = leader.raft().store().read(records::signing);
    // A node that missed the replacement of the key; other nodes may have the accepted one.
    let is_retired = signing.is_some_and(|signing| signing.value.retired.contains(&serial));
    Own {
        id: leader.id(),
        free: space.free,
        needed: space.needed,
        unhealthy_for: unhealthy_since.map_or(Duration::ZERO, |since| since.elapsed()),
        serial: (leader.secrets().is_some() && !is_retired).then_some(serial),
    }
}

/// The members, and the nodes that report.
pub(super) fn nodes(leader: &Leader, members: &[Member]) -> Vec<Node> {
    let fresh_for = leader.raft().pace().suspect_after();
    let mut nodes = members::nodes(members, leader.raft().last_index());
    for heard in leader.reports().all() {
        let id = heard.report.node_id;
        let node = nodes.entry(id).or_insert_with(|| Node { id, ..Node::default() });
        node.report = Some(report(&heard, fresh_for));
    }
    leader.raft().store().read(|store| {
        for node in nodes.values_mut() {
            let record = records::node(store, node.id);
            node.record = record.map(|record| Record { leaving: record.leaving, life: remembered(&record) });
        }
    });
    nodes.into_values().collect()
}

fn report(heard: &NodeReport, fresh_for: Duration) -> Report {
    let report = &heard.report;
    Report {
        fresh: heard.at.elapsed() <= fresh_for,
        address: report.address.clone(),
        good: heard.unhealthy_since.is_none() && report.retiring.is_empty(),
        disk_low: report.disk_low,
        disk_free: report.disk_free,
        serial: report.signing_serial.clone(),
        life: report.noted.then_some(Life { number: report.incarnation, run: report.run }),
    }
}
