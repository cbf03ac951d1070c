//! Records events when nodes become unhealthy and healthy again, so that operators later find the time and the reason.
//!
//! A marker in the store keeps the next leader from recording the same event again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use disco_proto::v1::NodeStatus;

use super::driver::{Controller, Outcome, Pause, Schedule};
use crate::cluster::nodes::status::statuses;
use crate::cluster::recorded::Recorded;
use crate::node::Leader;
use crate::records::{self, Severity, Txn};

/// Pause after an event that could not be recorded: no write may be possible while disks are full, or without a quorum.
const PAUSE: Pause = Pause::always(Duration::from_secs(10));

/// A change to record, or a marker to delete.
#[derive(Debug, PartialEq)]
enum News<'a> {
    /// The node has become unhealthy.
    Worse(&'a NodeStatus),
    /// It is healthy again.
    Better(&'a NodeStatus),
    /// It is no longer a member.
    Gone(u64),
}

/// The last state of each node in this node's log: whether it is healthy.
#[derive(Default)]
struct Logged(BTreeMap<u64, bool>);

/// Records as events when nodes become unhealthy and healthy again.
#[derive(Default)]
pub(super) struct Troubles {
    logged: Logged,
}

// === impl Troubles ===

impl Controller for Troubles {
    const NAME: &'static str = "troubles";

    fn schedule(&self, leader: &Leader) -> Schedule {
        let period = leader.raft().pace().suspect_after() / 2;
        Schedule { period, on_wake_up: false, on_revision: None, pause: Some(PAUSE) }
    }

    async fn pass(&mut self, leader: &Leader) -> Result<Outcome> {
        let settled = leader.reports().listening_for() > leader.raft().pace().suspect_after();
        let nodes = statuses(leader, &leader.raft().store().read(Recorded::read));
        let recorded = leader.raft().store().read(records::troubled);
        let mut failed = None;
        for news in news(&nodes, &recorded, settled) {
            failed = record(leader, news, &mut self.logged).await.err().or(failed);
        }
        failed.map_or(Ok(Outcome::Settled), Err)
    }
}

/// The changes that are not recorded yet. A leader that has not listened for long enough (`settled`) ignores silence.
fn news<'a>(nodes: &'a [NodeStatus], recorded: &BTreeSet<u64>, settled: bool) -> Vec<News<'a>> {
    // A leaving node is expected to fall silent, and its removal is recorded elsewhere.
    let stays = nodes.iter().filter(|node| !node.draining);
    let changed = stays.filter_map(|node| match (node.healthy, recorded.contains(&node.id)) {
        (true, true) => Some(News::Better(node)),
        (false, false) if settled || node.last_seen_ms.is_some() => Some(News::Worse(node)),
        _ => None,
    });
    let gone = recorded.iter().filter(|id| !nodes.iter().any(|node| node.id == **id)).map(|id| News::Gone(*id));
    changed.chain(gone).collect()
}

/// Writes the event and its marker in one transaction.
async fn record(leader: &Leader, news: News<'_>, logged: &mut Logged) -> Result<()> {
    let (id, event, txn) = match news {
        News::Worse(about) => (
            about.id,
            records::event(
                "node.unhealthy",
                Severity::Warning,
                Some(about.id),
                format!("{} is not healthy: {}", about.name, about.reason),
            ),
            Txn::new().put(&records::keys::trouble(about.id), &about.reason),
        ),
        News::Better(about) => (
            about.id,
            records::event("node.healthy", Severity::Info, Some(about.id), format!("{} is healthy again", about.name)),
            Txn::new().delete(&records::keys::trouble(about.id)),
        ),
        News::Gone(id) => {
            let forget = Txn::new().delete(&records::keys::trouble(id));
            leader
                .write_in_term(forget.operation())
                .await
                .with_context(|| format!("deleting the health marker of node {id}"))?;
            return Ok(());
        }
    };
    if logged.is_new(id, event.severity == Severity::Info) {
        records::log_event(&event);
    }
    let result = records::record_along(leader, leader.term(), &event, txn).await;
    result.map_err(|why| anyhow!("recording the event `{}` of node {id}: {why}", event.kind))
}

// === impl Logged ===

impl Logged {
    /// Whether the node's state differs from the logged one.
    fn is_new(&mut self, id: u64, healthy: bool) -> bool {
        self.0.insert(id, healthy) != Some(healthy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(id: u64, healthy: bool) -> NodeStatus {
        NodeStatus { id, healthy, last_seen_ms: Some(1), ..NodeStatus::default() }
    }

    #[test]
    fn a_change_is_recorded_once() {
        let (well, ill) = (status(1, true), status(2, false));
        let nodes = [well.clone(), ill.clone()];
        assert_eq!(news(&nodes, &BTreeSet::new(), true), [News::Worse(&ill)]);
        assert_eq!(news(&nodes, &BTreeSet::from([2]), true), []);
        assert_eq!(news(&nodes, &BTreeSet::from([1, 2]), true), [News::Better(&well)]);
    }

    /// A night without a quorum would displace all other lines from memory.
    #[test]
    fn an_event_that_cannot_be_recorded_is_logged_once() {
        let mut logged = Logged::default();
        assert!(logged.is_new(1, false) && logged.is_new(2, false));
        assert!(!logged.is_new(1, false));
        assert!(logged.is_new(1, true) && logged.is_new(1, false));
    }

    #[test]
    fn a_leaving_or_removed_node_is_not_recorded_as_unhealthy() {
        let going = NodeStatus { draining: true, ..status(1, false) };
        assert_eq!(news(&[going], &BTreeSet::from([3]), true), [News::Gone(3)]);
    }

    #[test]
    fn a_new_leader_first_waits_for_reports() {
        let unheard = NodeStatus { last_seen_ms: None, ..status(1, false) };
        let nodes = [unheard];
        assert_eq!(news(&nodes, &BTreeSet::new(), false), []);
        assert_eq!(news(&nodes, &BTreeSet::new(), true), [News::Worse(&nodes[0])]);
    }
}
