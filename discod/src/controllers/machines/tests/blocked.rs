//! Why a cluster stays below its target size.

use std::time::Duration;

use super::world::World;
use crate::records::keys;

#[tokio::test(start_paused = true)]
async fn a_reason_is_reported_once_and_cleared_when_nothing_is_missing() {
    let world = World::with_target(2, 3);
    world.set(|state| state.most = Some(2));
    let course = async {
        world.until("blocked", |world| world.state().blocked.is_some()).await;
        world.pass(Duration::from_secs(60)).await;
        let why = "1 nodes missing; the provider can start 0: `max_nodes` allows 2 machines";
        assert_eq!(world.state().blocked.as_deref(), Some(why));
        assert_eq!(world.effects(), ["event scale.blocked"]);
        let reported =
            world.state().progress.iter().filter(|step| step.state == "blocked" && step.error == why).count();
        assert_eq!(reported, 1);
        world.set(|state| state.most = Some(3));
        world.settled(3).await;
        world.until("cleared", |world| world.state().blocked.is_none()).await;
    };
    world.lead(course).await;
    assert_eq!(world.events(), ["scale.blocked"]);
}

#[tokio::test(start_paused = true)]
async fn what_can_be_started_is_started_and_each_new_reason_is_reported() {
    let world = World::with_target(1, 3);
    world.set(|state| state.most = Some(2));
    let course = async {
        world.until("web-2 is a node", |world| world.state().members.len() == 2).await;
        world.pass(Duration::from_secs(60)).await;
    };
    world.lead(course).await;
    let reasons: Vec<String> = world.event_records().into_iter().map(|event| event.message).collect();
    let reason = |missing: u64, available: u64| {
        format!("{missing} nodes missing; the provider can start {available}: `max_nodes` allows 2 machines")
    };
    assert_eq!(reasons, [reason(2, 1), reason(1, 0)]);
    assert_eq!(world.machines().len(), 1, "{}", world.describe());
}

#[tokio::test(start_paused = true)]
async fn a_lower_target_size_clears_the_reason_and_the_next_one_is_reported_again() {
    let world = World::with_target(2, 3);
    world.set(|state| state.most = Some(2));
    let course = async {
        for _ in 0..2 {
            world.until("blocked", |world| world.state().blocked.is_some()).await;
            world.put(keys::DESIRED_NODES, &2_u32);
            world.until("cleared", |world| world.state().blocked.is_none()).await;
            world.put(keys::DESIRED_NODES, &3_u32);
        }
    };
    world.lead(course).await;
    assert_eq!(world.events(), ["scale.blocked", "scale.blocked"]);
    assert!(world.machines().iter().all(|machine| machine.node == Some(2)), "{}", world.describe());
}
