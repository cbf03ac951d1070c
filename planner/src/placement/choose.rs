//! The best node for one more task, and the task that is missed least.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::usage::Usage;
use super::view::{Group, Node, State, Task};

pub(super) type Usages = BTreeMap<u64, Usage>;

/// How good a node is for one more task: the smaller, the better. A total order without fractions, so that no two leaders
/// differ: how many tasks of the service the node's zone (and so on) has, how many the node has, how full the node would be,
/// its id.
pub(super) type Score = (Vec<u64>, u64, u64, u64);

pub(super) fn score(group: &Group, node: &Node, nodes: &[Node], usages: &Usages) -> Score {
    let of = |id: u64| usages.get(&id).map_or(0, |usage| usage.of(&group.service));
    let domains = group.spread.iter().map(|label| {
        let value = node.labels.get(label);
        nodes.iter().filter(|other| other.labels.get(label) == value).map(|other| of(other.id)).sum()
    });
    let share = usages.get(&node.id).map_or(0, |usage| usage.share_with(node, group.resources));
    (domains.collect(), of(node.id), share, node.id)
}

/// The task to stop when there are too many: one that failed, then one that does not count, then one that is not healthy, then
/// one that nobody hears at the moment, then one of the fullest zone or node, then the highest number.
pub(super) fn least_missed<'a>(group: &Group, tasks: &[&'a Task], nodes: &[Node], usages: &Usages) -> Option<&'a Task> {
    tasks.iter().copied().max_by_key(|task| {
        let node = nodes.iter().find(|node| node.id == task.node);
        let crowding = node.map(|node| score(group, node, nodes, usages));
        let gone_node = node.is_none_or(|node| node.drained || node.presence == super::Presence::Lost);
        let silent = node.is_some_and(|node| node.presence == super::Presence::Silent);
        // Without its node a task is missed least.
        let crowding =
            crowding.map_or((vec![u64::MAX; group.spread.len()], u64::MAX, u64::MAX), |(a, b, c, _)| (a, b, c));
        (task.state == State::Failed, gone_node, !task.healthy, silent, crowding, task.index, Reverse(task.id))
    })
}
