//! Small cases against every possible assignment.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn small_node(id: u64, memory: u64, zone: u8) -> Node {
    Node {
        id,
        resources: Resources { cpu_millis: 1_000, memory, disk: 0 },
        labels: BTreeMap::from([("zone".to_owned(), zone.to_string())]),
        ..Node::default()
    }
}

fn small_group(id: u64, count: u64, memory: u64, zone: Option<u8>) -> Group {
    Group {
        id,
        service: id.to_string(),
        copies: Copies::Count(count),
        resources: Resources { memory, ..Resources::default() },
        constraints: zone.map(|zone| Constraint::Is("zone".to_owned(), zone.to_string())).into_iter().collect(),
        ..Group::default()
    }
}

/// The most tasks that can be placed, by trying everything.
fn optimum(free: &mut [u64], zones: &[u8], tasks: &[(u64, Option<u8>)]) -> usize {
    let Some(((memory, zone), rest)) = tasks.split_first() else { return 0 };
    let mut best = optimum(free, zones, rest);
    for n in 0..free.len() {
        if free[n] >= *memory && zone.is_none_or(|zone| zone == zones[n]) {
            free[n] -= memory;
            best = best.max(1 + optimum(free, zones, rest));
            free[n] += memory;
        }
        if best == tasks.len() {
            break;
        }
    }
    best
}

fn counts(plan: &Plan, group: u64, nodes: &[Node]) -> Vec<u64> {
    let on = |id| plan.start.iter().filter(|start| start.group == group && start.node == id).count() as u64;
    nodes.iter().map(|node| on(node.id)).collect()
}

proptest! {
    /// Tasks that are alike: as many as possible are placed, and no other placement of as many is more even.
    #[test]
    fn one_service_is_placed_as_well_as_possible(
        memories in proptest::collection::vec(0_u64..6, 1..5),
        count in 0_u64..9,
        needed in 1_u64..3,
    ) {
        let nodes: Vec<Node> = memories.iter().zip(1..).map(|(memory, id)| small_node(id, *memory, 0)).collect();
        let groups = [small_group(1, count, needed, None)];
        let plan = plan(&nodes, &groups, &[]);
        let tasks = vec![(needed, None); usize::try_from(count).unwrap()];
        let most = optimum(&mut memories.clone(), &vec![0; memories.len()], &tasks);
        prop_assert_eq!(plan.start.len(), most);
        // Even: a task could not move to a node with two fewer that has room.
        let counts = counts(&plan, 1, &nodes);
        for (from, &many) in counts.iter().enumerate() {
            for (to, &few) in counts.iter().enumerate() {
                let room = memories[to] - few * needed >= needed;
                prop_assert!(!(many > few + 1 && room), "node {} has {many}, node {} has {few} and room", from + 1, to + 1);
            }
        }
    }

    /// The score is total, and more of a service on a node or zone never makes it better.
    #[test]
    fn the_same_view_in_another_order_gives_the_same_plan(
        sizes in proptest::collection::vec((1_u64..9, 0_u8..3), 2..6),
        wanted in proptest::collection::vec((1_u64..4, 1_u64..4), 1..4),
    ) {
        let mut nodes: Vec<Node> = sizes.iter().zip(1..).map(|((memory, zone), id)| small_node(id, *memory, *zone)).collect();
        let mut groups: Vec<Group> = wanted
            .iter()
            .zip(1..)
            .map(|((count, memory), id)| Group { spread: vec!["zone".to_owned()], ..small_group(id, *count, *memory, None) })
            .collect();
        let first = plan(&nodes, &groups, &[]);
        nodes.reverse();
        groups.reverse();
        prop_assert_eq!(first, plan(&nodes, &groups, &[]));
    }
}

/// Always the same numbers below `end` (the generator of Lehmer, with the constants of `minstd_rand`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0 * 48_271 % 2_147_483_647;
        self.0 % end
    }
}

/// Tasks of different sizes and constraints: nothing is placed where it does not fit, what is not placed fits nowhere, and
/// over many cases hardly fewer are placed than possible. (What is large goes first, so a single case may place one large
/// task where three small ones would fit.)
#[test]
fn different_services_are_placed_nearly_as_well_as_possible() {
    let mut numbers = Numbers(1);
    let (mut placed, mut possible) = (0, 0);
    for _ in 0..1_000 {
        let sizes: Vec<(u64, Option<u8>)> =
            (0..2 + numbers.below(3)).map(|_| (1 + numbers.below(8), Some(u8::from(numbers.below(2) == 0)))).collect();
        let wanted: Vec<(u64, u64, Option<u8>)> = (0..1 + numbers.below(3))
            .map(|_| {
                (
                    1 + numbers.below(3),
                    1 + numbers.below(3),
                    [None, Some(0), Some(1)][usize::try_from(numbers.below(3)).unwrap()],
                )
            })
            .collect();
        let (now, most) = compare(&sizes, &wanted);
        placed += now;
        possible += most;
    }
    assert!(placed * 100 >= possible * 98, "{placed} of {possible} possible");
}

/// How many are placed, and how many could be.
fn compare(sizes: &[(u64, Option<u8>)], wanted: &[(u64, u64, Option<u8>)]) -> (usize, usize) {
    let nodes: Vec<Node> =
        sizes.iter().zip(1..).map(|((memory, zone), id)| small_node(id, *memory, zone.unwrap())).collect();
    let groups: Vec<Group> =
        wanted.iter().zip(1..).map(|((count, memory, zone), id)| small_group(id, *count, *memory, *zone)).collect();
    let plan = plan(&nodes, &groups, &[]);
    let of = |group: u64| wanted[usize::try_from(group).unwrap() - 1];
    let mut free: Vec<u64> = sizes.iter().map(|(memory, _)| *memory).collect();
    for start in &plan.start {
        let (_, memory, zone) = of(start.group);
        let at = usize::try_from(start.node).unwrap() - 1;
        assert!(free[at] >= memory && (zone.is_none() || zone == sizes[at].1), "{sizes:?} {wanted:?}");
        free[at] -= memory;
    }
    for unplaced in &plan.unplaced {
        let (_, memory, zone) = of(unplaced.group);
        for at in 0..nodes.len() {
            let fits = free[at] >= memory && (zone.is_none() || zone == sizes[at].1);
            assert!(!fits, "it fits on node {}: {sizes:?} {wanted:?}", at + 1);
            assert!(!unplaced.reasons[&nodes[at].id].is_empty());
        }
    }
    let tasks: Vec<_> = wanted
        .iter()
        .flat_map(|(count, memory, zone)| std::iter::repeat_n((*memory, *zone), usize::try_from(*count).unwrap()))
        .collect();
    let mut room: Vec<u64> = sizes.iter().map(|(memory, _)| *memory).collect();
    let zones: Vec<u8> = sizes.iter().map(|(_, zone)| zone.unwrap()).collect();
    (plan.start.len(), optimum(&mut room, &zones, &tasks))
}
