//! Lost nodes: replaced as the policy and the script allow.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::World;
use crate::records::{MachineRecord, keys};

const MINUTE: Duration = Duration::from_secs(60);
/// Not yet dead.
const SILENT: Duration = Duration::from_secs(19);

fn count(all: &[String], of: &str) -> usize {
    all.iter().filter(|one| *one == of).count()
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_replaced_only_once_it_is_dead() {
    let world = World::with_target(3, 3);
    world.silence(3, SILENT);
    let course = async {
        world.pass(MINUTE).await;
        assert!(world.effects().is_empty(), "{}", world.describe());
        world.silence(3, MINUTE);
        world.until("web-4 is a node", |world| world.machine("web-4").is_some_and(|one| one.node.is_some())).await;
        world.settled(3).await;
    };
    world.lead(course).await;
    world.assert_order(&[
        "web-4 starting",
        "event node.replaced",
        "start web-4",
        "web-4 joined",
        "remove 3",
        "end i-3",
    ]);
    assert_eq!(world.events(), ["node.replaced"]);
    assert!(world.machine("web-4").unwrap().replaces);
    assert_eq!(world.state().members.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
}

#[tokio::test(start_paused = true)]
async fn the_next_lost_node_waits_for_the_pause_after_a_replacement() {
    let world = World::with_target(3, 3);
    world.silence(3, MINUTE);
    let course = async {
        world.until("web-4 is a node", |world| world.machine("web-4").is_some_and(|one| one.node.is_some())).await;
        world.settled(3).await;
        world.silence(2, MINUTE);
        let is_blocked = |world: &World| world.state().blocked.as_ref().is_some_and(|why| why.contains("10 minutes"));
        world.until("blocked", is_blocked).await;
        world.pass(MINUTE).await;
        assert!(world.machine("web-5").is_none(), "{}", world.describe());
        assert_eq!(count(&world.events(), "scale.blocked"), 1);
        // As if the replacement was requested in 1970.
        let replacement = world.machine("web-4").unwrap();
        world.put(&keys::machine("web-4"), &MachineRecord { created_ms: 0, ..replacement });
        world.until("web-5 is a node", |world| world.machine("web-5").is_some_and(|one| one.node.is_some())).await;
        world.settled(3).await;
    };
    world.lead(course).await;
    assert_eq!(count(&world.events(), "node.replaced"), 2);
    assert_eq!(world.state().blocked, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_replaced_while_too_many_are_dead() {
    let world = World::with_target(4, 4);
    world.silence(3, MINUTE);
    world.silence(4, MINUTE);
    let course = async {
        let is_blocked = |world: &World| world.state().blocked.as_ref().is_some_and(|why| why.contains("2 of 4"));
        world.until("blocked", is_blocked).await;
        world.pass(MINUTE).await;
        assert_eq!(world.effects(), ["event scale.blocked"]);
        // One returns.
        world.silence(4, Duration::ZERO);
        world.until("web-5 is a node", |world| world.machine("web-5").is_some_and(|one| one.node.is_some())).await;
        world.settled(4).await;
    };
    world.lead(course).await;
    assert_eq!(world.events(), ["scale.blocked", "node.replaced"]);
}

#[tokio::test(start_paused = true)]
async fn the_script_decides_about_each_loss_once_and_nothing_is_done_until_then() {
    let world = World::with_target(3, 3);
    world.set(|state| state.hook = Some(BTreeMap::new()));
    world.silence(3, MINUTE);
    let answer = |replace: bool| world.set(|state| state.hook.as_mut().unwrap().extend([(3, replace)]));
    let course = async {
        world.pass(MINUTE).await;
        assert_eq!(world.effects(), ["hook web-3"]);
        answer(false);
        world.pass(MINUTE).await;
        assert_eq!(world.effects(), ["hook web-3"], "it is left as it is");
        // It returns, and is lost again.
        world.silence(3, Duration::ZERO);
        world.pass(MINUTE).await;
        answer(true);
        world.silence(3, MINUTE);
        world.until("web-4 is a node", |world| world.machine("web-4").is_some_and(|one| one.node.is_some())).await;
        world.settled(3).await;
    };
    world.lead(course).await;
    assert_eq!(count(&world.effects(), "hook web-3"), 2, "{}", world.describe());
    assert_eq!(world.events(), ["node.replaced"]);
}
