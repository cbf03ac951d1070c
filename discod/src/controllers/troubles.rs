//! That a node is not healthy any more, or is again, told as an event: whoever looks in the morning finds when it was, and why.
//!
//! What was told is written, so that the next leader does not tell it again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use disco_proto::v1::NodeStatus;

use super::driver::{Controller, Outcome, Pause, Schedule};
use crate::cluster::nodes::status::statuses;
use crate::node::Leader;
use crate::records::{self, Severity, Txn};

/// After an event that could not be recorded: nothing may be possible as long as disks are full, or a majority is gone.
const PAUSE: Pause = Pause::always(Duration::from_secs(10));

/// Something to tell, or to forget.
#[derive(Debug, PartialEq)]
enum News<'a> {
    /// It is not healthy.
    Worse(&'a NodeStatus),
    /// It is again.
    Better(&'a NodeStatus),
    /// It is no member any more.
    Gone(u64),
}

/// What this node's log says already: of each node whether it is healthy.
#[derive(Default)]
struct Said(BTreeMap<u64, bool>);

/// Records as events when nodes become unhealthy and healthy again.
#[derive(Default)]
pub(super) struct Troubles {
    said: Said,
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
        let nodes = statuses(leader);
        let told = leader.raft().store().read(records::troubled);
        let mut failed = None;
        for news in news(&nodes, &told, settled) {
            failed = tell(leader, news, &mut self.said).await.err().or(failed);
        }
        failed.map_or(Ok(Outcome::Settled), Err)
    }
}

/// What is not told yet. A leader that has not listened for long enough to be `settled` makes nothing of silence.
fn news<'a>(nodes: &'a [NodeStatus], told: &BTreeSet<u64>, settled: bool) -> Vec<News<'a>> {
    // One that goes is expected to fall silent, and is told of by whatever lets it go.
    let stays = nodes.iter().filter(|node| !node.draining);
    let changed = stays.filter_map(|node| match (node.healthy, told.contains(&node.id)) {
        (true, true) => Some(News::Better(node)),
        (false, false) if settled || node.last_seen_ms.is_some() => Some(News::Worse(node)),
        _ => None,
    });
    let gone = told.iter().filter(|id| !nodes.iter().any(|node| node.id == **id)).map(|id| News::Gone(*id));
    changed.chain(gone).collect()
}

/// Writes the event and its marker in one transaction.
async fn tell(leader: &Leader, news: News<'_>, said: &mut Said) -> Result<()> {
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
            leader.write_in_term(forget.operation()).await.with_context(|| format!("forgetting node {id}"))?;
            return Ok(());
        }
    };
    if said.is_new(id, event.severity == Severity::Info) {
        records::log_event(&event);
    }
    let recorded = records::record_along(leader, leader.term(), &event, txn).await;
    recorded.map_err(|why| anyhow!("recording the event `{}` of node {id}: {why}", event.kind))
}

// === impl Said ===

impl Said {
    /// Whether it is said for the first time since it was the other way.
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
    fn a_change_is_told_once() {
        let (well, ill) = (status(1, true), status(2, false));
        let nodes = [well.clone(), ill.clone()];
        assert_eq!(news(&nodes, &BTreeSet::new(), true), [News::Worse(&ill)]);
        assert_eq!(news(&nodes, &BTreeSet::from([2]), true), []);
        assert_eq!(news(&nodes, &BTreeSet::from([1, 2]), true), [News::Better(&well)]);
    }

    /// A night without a majority would leave nothing else of the lines in memory.
    #[test]
    fn what_cannot_be_recorded_is_said_once() {
        let mut said = Said::default();
        assert!(said.is_new(1, false) && said.is_new(2, false));
        assert!(!said.is_new(1, false));
        assert!(said.is_new(1, true) && said.is_new(1, false));
    }

    #[test]
    fn who_goes_or_has_gone_is_no_trouble() {
        let going = NodeStatus { draining: true, ..status(1, false) };
        assert_eq!(news(&[going], &BTreeSet::from([3]), true), [News::Gone(3)]);
    }

    #[test]
    fn a_new_leader_gives_everybody_time_to_be_heard() {
        let unheard = NodeStatus { last_seen_ms: None, ..status(1, false) };
        let nodes = [unheard];
        assert_eq!(news(&nodes, &BTreeSet::new(), false), []);
        assert_eq!(news(&nodes, &BTreeSet::new(), true), [News::Worse(&nodes[0])]);
    }
}
