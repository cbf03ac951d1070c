//! What the leader sees of nodes: the part of the controller's input that is in no record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use disco_planner::placement::Presence;

use super::ages::Ages;
use crate::cluster::workloads::draft::Moment;
use crate::cluster::workloads::fence;
use crate::cluster::workloads::recorded::Workloads;
use crate::node::Leader;

/// What the leader sees now.
#[derive(Clone, Debug)]
pub(in crate::controllers) struct Seen {
    /// Now.
    pub now: Moment,
    /// Members, and nodes with a record.
    pub nodes: BTreeMap<u64, SeenNode>,
    /// The time without an accepted report after which no singleton of a node runs.
    pub over_after: Duration,
    /// Of what it waits for.
    pub ages: Ages,
    /// What the script prefers for new tasks.
    pub preferred: Preferred,
}

/// Which nodes are preferred for new tasks, by the version and the task's index.
pub(super) type Preferred = BTreeMap<u64, BTreeMap<u64, BTreeMap<u64, i64>>>;

/// A node as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controllers) struct SeenNode {
    /// Whether it reports.
    pub presence: Presence,
    /// At least for how long it has not.
    pub silent_for: Duration,
}

// === impl Seen ===

impl Seen {
    /// Looks now.
    pub fn look(leader: &Leader, records: &Workloads) -> Self {
        let pace = leader.raft().pace();
        let (lost_after, suspect_after) = (fence::lost_after(pace), pace.suspect_after());
        let members = leader.raft().members().into_iter().map(|member| member.id);
        let node = |id: u64| {
            if id == leader.id() {
                return (id, SeenNode { presence: Presence::Here, silent_for: Duration::ZERO });
            }
            let heard = leader.reports().heard_at(id);
            // An earlier leader may have accepted a report until this one was elected, and none since.
            let silent_for = heard.map_or_else(|| leader.reports().listening_for(), |heard| heard.elapsed());
            (id, SeenNode { presence: presence(heard.is_some(), silent_for, suspect_after, lost_after), silent_for })
        };
        let ids: BTreeSet<u64> = members.chain(records.nodes.ids()).collect();
        let nodes = ids.into_iter().map(node).collect();
        Self {
            now: Moment::now(leader.id(), leader.term()),
            nodes,
            over_after: fence::over_after(pace),
            ages: Ages::default(),
            preferred: Preferred::new(),
        }
    }

    /// Whether each node reports.
    pub fn presences(&self) -> BTreeMap<u64, Presence> {
        self.nodes.iter().map(|(id, node)| (*id, node.presence)).collect()
    }
}

/// A new leader gives a node no tasks before it has heard of it, and takes it for lost only after it has listened for long
/// enough.
fn presence(heard: bool, silent_for: Duration, suspect_after: Duration, lost_after: Duration) -> Presence {
    if silent_for >= lost_after {
        Presence::Lost
    } else if heard && silent_for <= suspect_after {
        Presence::Here
    } else {
        Presence::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_here_silent_and_then_lost() {
        let at = |heard, seconds| {
            presence(heard, Duration::from_secs(seconds), Duration::from_secs(2), Duration::from_secs(5))
        };
        assert_eq!([at(true, 1), at(true, 3), at(true, 5)], [Presence::Here, Presence::Silent, Presence::Lost]);
        assert_eq!([at(false, 1), at(false, 5)], [Presence::Silent, Presence::Lost], "a new leader has heard nothing");
    }
}
