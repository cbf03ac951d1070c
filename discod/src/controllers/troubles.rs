//! That a node is not healthy any more, or is again, told as an event: whoever looks in the morning finds when it was, and why.
//!
//! What was told is written, so that the next leader does not tell it again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use disco_proto::v1::NodeStatus;

use crate::cluster::nodes::status::statuses;
use crate::node::Leader;
use crate::records::{self, Severity, Txn};

/// Pause after something could not be told.
const AGAIN: Duration = Duration::from_secs(10);

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

/// Until this node leads no more.
pub(super) async fn run(leader: &Leader) {
    let mut said = Said::default();
    let mut ticks = tokio::time::interval(leader.raft().pace().suspect_after() / 2);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let settled = leader.reports().listening_for() > leader.raft().pace().suspect_after();
        let nodes = statuses(leader);
        let told = leader.raft().store().read(records::troubled);
        let mut all_told = true;
        for news in news(&nodes, &told, settled) {
            all_told &= tell(leader, news, &mut said).await;
        }
        if !all_told {
            // Nothing may be possible for as long as disks are full, or a majority is gone.
            tokio::time::sleep(AGAIN).await;
        }
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

/// What is told and that it was told are written at once. Whether they were.
async fn tell(leader: &Leader, news: News<'_>, said: &mut Said) -> bool {
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
            return leader.write_in_term(forget.operation()).await.is_ok();
        }
    };
    let is_new = said.is_new(id, event.severity == Severity::Info);
    if is_new {
        records::log_event(&event);
    }
    match records::record_along(leader, leader.term(), &event, txn).await {
        Ok(()) => true,
        Err(why) => {
            if is_new {
                tracing::warn!(kind = event.kind, "an event is not recorded yet, which is tried again: {why}");
            }
            false
        }
    }
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
