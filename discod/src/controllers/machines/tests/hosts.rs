//! Machines that are given: one at a time, and those that cannot be used are freed.

use std::time::Duration;

use super::provider::{HOSTS, machine};
use super::world::{Answer, World};
use crate::records::keys;

/// One node, and these given machines.
fn hosts(target: u32, free: &[u64]) -> World {
    let world = World::with_target(1, target);
    let machines = free.iter().map(|number| machine(*number, ""));
    world.set(|state| {
        state.capabilities = HOSTS;
        state.machines.extend(machines);
    });
    world
}

fn joined(world: &World, token: &str) -> bool {
    world.machine(token).is_some_and(|machine| machine.node.is_some())
}

#[tokio::test(start_paused = true)]
async fn an_unusable_host_is_freed_and_another_one_is_taken_at_once() {
    let world = hosts(2, &[7, 8]);
    world.answer("reach i-7", &[Answer::Fails("no route to host")]);
    world.lead(world.until("joined", |world| joined(world, "web-2"))).await;
    let steps = ["reach i-7 fails", "web-2 starting", "event machine.unusable", "reach i-8", "web-2 joined"];
    world.assert_order(&steps);
    assert_eq!(world.events(), ["machine.unusable"], "it is no failure of the machine");
    assert!(world.now() < Duration::from_secs(1), "{}", world.describe());
    assert_eq!(world.machine("web-2").unwrap().id, "i-8");
}

#[tokio::test(start_paused = true)]
async fn the_same_reason_again_is_a_failure_which_waits() {
    let world = hosts(2, &[7]);
    world.answer("reach i-7", &[Answer::Fails("no route to host"); 2]);
    world.lead(world.until("joined", |world| joined(world, "web-2"))).await;
    assert_eq!(world.events(), ["machine.unusable", "machine.failed", "machine.recovered"]);
    let times = world.times("reach i-7");
    assert_eq!((times[2] - times[1]).as_secs(), 2, "{}", world.describe());
}

#[tokio::test(start_paused = true)]
async fn two_starts_never_choose_the_same_host() {
    let world = hosts(3, &[7, 8]);
    world.answer("start web-2", &[Answer::Takes(Duration::from_secs(5))]);
    world.lead(world.until("both", |world| joined(world, "web-2") && joined(world, "web-3"))).await;
    let ids = ["web-2", "web-3"].map(|token| world.machine(token).unwrap().id);
    assert_eq!(ids, ["i-7", "i-8"]);
    world.assert_order(&["start web-2", "web-2 installing", "start web-3"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_installed_is_removed_before_a_host_is_given_back() {
    let world = World::with_target(2, 1);
    world.set(|state| state.capabilities = HOSTS);
    world.answer("clear web-2", &[Answer::Fails("connecting: timed out")]);
    world.lead(world.until("forgotten", |world| world.machine("web-2").is_none() && world.node(2).is_none())).await;
    world.assert_order(&["remove 2", "web-2 terminating", "clear web-2 fails", "event machine.not_cleared", "end i-2"]);
    assert_eq!(world.state().machines.len(), 2, "it runs for its owner");
    assert_eq!(world.0.records.get::<u32>(keys::DESIRED_NODES), Some(1));
}
