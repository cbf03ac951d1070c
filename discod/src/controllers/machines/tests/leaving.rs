//! Nodes that leave because the target size was lowered.

use std::time::Duration;

use super::world::{Answer, At, When, World};
use crate::cluster::nodes::moving::{LIMIT, MOVING};
use crate::cluster::nodes::removal::{REMOVED, REMOVING};
use crate::records::keys;

/// Three nodes, one too many; node 3 has tasks.
fn surplus() -> World {
    let world = World::with_target(3, 2);
    world.set(|state| state.busy.extend([3]));
    world
}

fn moves(world: &World) -> bool {
    world.state().progress.iter().any(|step| step.state == MOVING)
}

#[tokio::test(start_paused = true)]
async fn a_surplus_node_leaves_once_its_tasks_have_moved() {
    let world = surplus();
    let course = async {
        world.until("its tasks move", moves).await;
        assert!(world.node(3).unwrap().leaving);
        world.pass(LIMIT / 2).await;
        assert_eq!(world.effects(), ["check 3", "web-3 leaves"]);
        world.set(|state| state.busy.clear());
        world.settled(2).await;
    };
    world.lead(course).await;
    world.assert_order(&["check 3", "web-3 leaves", "remove 3", "web-3 terminating", "end i-3", "forget web-3"]);
    assert!(world.times("remove 3")[0] < LIMIT);
    assert_eq!((world.node(3), world.machine("web-3")), (None, None));
    let state = world.state();
    let mut steps: Vec<&str> = state.progress.iter().map(|step| step.state.as_str()).collect();
    steps.dedup();
    assert_eq!(steps, [REMOVING, MOVING, REMOVING, REMOVED]);
    assert!(state.progress.iter().all(|step| step.subject == "web-3" && step.done == (step.state == REMOVED)));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_find_no_other_node_delay_the_removal_for_a_minute() {
    let world = surplus();
    world.lead(world.settled(2)).await;
    let removed = world.times("remove 3");
    assert!(removed[0] >= LIMIT && removed[0] < LIMIT + Duration::from_secs(1), "{}", world.describe());
}

#[tokio::test(start_paused = true)]
async fn a_node_without_tasks_leaves_at_once_and_surplus_nodes_leave_one_after_the_other() {
    let world = World::with_target(4, 2);
    world.lead(world.settled(2)).await;
    world.assert_order(&["web-4 leaves", "remove 4", "web-3 leaves", "remove 3"]);
    assert!(world.now() < Duration::from_secs(1), "{}", world.describe());
    assert!(!world.state().progress.iter().any(|step| step.state == MOVING));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_not_marked_before_the_check_of_its_removal_succeeds() {
    let world = World::with_target(3, 2);
    world.answer("check 3", &[Answer::Fails("no quorum would be left"); 3]);
    world.lead(world.settled(2)).await;
    let checks = ["check 3 fails", "check 3 fails", "check 3 fails", "check 3"];
    assert_eq!(world.effects()[..5], [&checks[..], &["web-3 leaves"]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_end_fails_is_completed() {
    let world = World::with_target(3, 2);
    world.answer("remove 3", &[Answer::Fails("no quorum answered")]);
    world.lead(world.settled(2)).await;
    assert_eq!(world.times("remove 3").len(), 2, "{}", world.describe());
    assert_eq!(world.times("web-3 leaves").len(), 1, "{}", world.describe());
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_removes_the_node_that_was_marked() {
    let world = surplus();
    world.end_term(At::Named("web-3 leaves"), When::After);
    let course = async {
        world.until("its tasks move", moves).await;
        world.set(|state| state.busy.clear());
        world.settled(2).await;
    };
    world.lead(course).await;
    assert_eq!(*world.0.term.borrow(), 2);
    assert_eq!(world.times("web-3 leaves").len(), 1, "{}", world.describe());
}

/// A node that is marked gets neither votes nor tasks, so it does not stay.
#[tokio::test(start_paused = true)]
async fn a_removal_that_has_begun_is_completed_when_the_target_size_is_raised_again() {
    let world = surplus();
    let course = async {
        world.until("its tasks move", moves).await;
        world.put(keys::DESIRED_NODES, &3_u32);
        world.pass(LIMIT / 2).await;
        assert!(world.times("remove 3").is_empty(), "its tasks move first");
        world.set(|state| state.busy.clear());
        world.until("web-4 is a node", |world| world.machine("web-4").is_some_and(|one| one.node.is_some())).await;
        world.settled(3).await;
    };
    world.lead(course).await;
    world.assert_order(&["web-3 leaves", "remove 3", "start web-4", "web-4 joined"]);
    assert_eq!(world.node(3), None);
}
