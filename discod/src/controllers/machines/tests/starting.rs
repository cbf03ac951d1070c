//! New machines: recorded, started once, installed, and retried.

use std::time::Duration;

use super::world::{Answer, At, When, World};
use crate::records::{MachineRecord, keys, machine_state as state};

fn error_of(world: &World, token: &str) -> String {
    world.machine(token).map(|machine| machine.error).unwrap_or_default()
}

/// Whole seconds from each of these times to the next.
fn pauses(times: &[Duration]) -> Vec<u64> {
    times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect()
}

fn count(all: &[String], of: &str) -> usize {
    all.iter().filter(|one| *one == of).count()
}

#[tokio::test(start_paused = true)]
async fn both_machines_are_recorded_before_the_provider_is_called_once_for_each() {
    let world = World::with_target(1, 3);
    world.lead(world.settled(3)).await;
    let effects = world.effects();
    let first_call = effects.iter().position(|effect| effect.starts_with("start ")).unwrap();
    for record in ["web-2 starting", "web-3 starting"] {
        assert!(effects[..first_call].iter().any(|effect| effect == record), "{}", world.describe());
    }
    for id in [2, 3] {
        let token = format!("web-{id}");
        let steps = [format!("start {token}"), format!("{token} installing"), format!("reach i-{id}")];
        let rest = [format!("install {token}"), format!("{token} joined")];
        let order: Vec<&str> = steps.iter().chain(&rest).map(String::as_str).collect();
        world.assert_order(&order);
        assert_eq!(world.times(&steps[0]).len(), 1);
        let record = world.machine(&token).unwrap();
        let written = [record.id, record.address, record.ssh];
        assert_eq!(written, [format!("i-{id}"), format!("10.0.0.{id}:5080"), format!("root@10.0.0.{id}:22")]);
        assert_eq!((record.node, record.error.as_str()), (Some(id), ""));
        assert_eq!(world.0.records.get::<u64>(&keys::reserved(&token)), Some(id));
    }
    assert!(world.events().is_empty(), "{:?}", world.events());
}

#[tokio::test(start_paused = true)]
async fn a_leader_lost_before_the_call_leaves_the_token_to_the_next_one() {
    let world = World::with_target(1, 2);
    world.end_term(At::Named("start web-2"), When::Before);
    world.lead(world.settled(2)).await;
    assert_eq!(*world.0.term.borrow(), 2);
    assert_eq!(count(&world.effects(), "web-2 starting"), 1, "{}", world.describe());
    assert_eq!(world.times("start web-2").len(), 1);
    assert!(world.machine("web-3").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_leader_lost_before_the_answer_is_recorded_leaves_no_second_machine() {
    for (at, when) in [("start web-2", When::After), ("web-2 installing", When::Before)] {
        let world = World::with_target(1, 2);
        world.end_term(At::Named(at), when);
        world.lead(world.settled(2)).await;
        assert_eq!(*world.0.term.borrow(), 2);
        assert_eq!(world.times("start web-2").len(), 2, "the same token again: {}", world.describe());
        assert_eq!(world.state().machines.len(), 2);
        assert_eq!(world.machines().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn wherever_the_term_ends_the_next_leader_goes_on_with_the_same_machines() {
    let whole = World::with_target(1, 3);
    whole.lead(whole.settled(3)).await;
    let effects = whole.state().count;
    assert!(effects >= 12, "{}", whole.describe());
    for (number, when) in (1..=effects).flat_map(|number| [(number, When::Before), (number, When::After)]) {
        let world = World::with_target(1, 3);
        world.end_term(At::Number(number), when);
        world.lead(world.settled(3)).await;
        let tokens: Vec<String> = world.machines().into_iter().map(|machine| machine.token).collect();
        assert_eq!(tokens, ["web-2", "web-3"], "{when:?} effect {number}: {}", world.describe());
        assert_eq!(*world.0.term.borrow(), 2);
        assert!(world.events().is_empty(), "{:?}", world.events());
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_tried_again_after_growing_pauses_with_one_event() {
    let world = World::with_target(1, 2);
    let fails = ["no capacity", "no capacity", "quota exceeded", "no address left"].map(Answer::Fails);
    world.answer("start web-2", &fails);
    let course = async {
        for error in ["no capacity", "quota exceeded", "no address left"] {
            world.until(error, |world| error_of(world, "web-2").contains(error)).await;
            assert_eq!(world.machine("web-2").unwrap().state, state::STARTING);
        }
        world.settled(2).await;
    };
    world.lead(course).await;
    assert_eq!(pauses(&world.times("start web-2")), [2, 4, 8, 16], "{}", world.describe());
    assert_eq!(world.events(), ["machine.failed", "machine.recovered"]);
    let events = world.event_records();
    assert!(events[0].message.contains("no capacity"), "{events:?}");
    assert_eq!(events[1].node, Some(2));
    assert_eq!(error_of(&world, "web-2"), "");
    let failed = world.state().progress.iter().filter(|step| step.state == "failed").count();
    assert_eq!(failed, 4);
}

#[tokio::test(start_paused = true)]
async fn a_target_size_that_is_written_again_ends_the_pause() {
    let world = World::with_target(1, 2);
    world.answer("start web-2", &[Answer::Fails("quota exceeded"); 4]);
    let course = async {
        world.until("three attempts", |world| world.times("start web-2").len() == 3).await;
        world.put(keys::DESIRED_NODES, &2_u32);
        world.until("the fourth", |world| world.times("start web-2").len() == 4).await;
    };
    world.lead(course).await;
    let pauses = pauses(&world.times("start web-2"));
    assert_eq!(pauses, [2, 4, 0], "{}", world.describe());
}

#[tokio::test(start_paused = true)]
async fn a_start_without_an_answer_holds_up_no_other_machine() {
    let world = World::with_target(1, 3);
    world.answer("start web-2", &[Answer::Hangs]);
    let joined = |token: &'static str| move |world: &World| world.machine(token).is_some_and(|one| one.node.is_some());
    let course = async {
        world.until("web-3", joined("web-3")).await;
        world.put(keys::DESIRED_NODES, &4_u32);
        world.until("web-4", joined("web-4")).await;
        world.pass(Duration::from_secs(120)).await;
    };
    world.lead(course).await;
    assert!(world.times("install web-4")[0] < Duration::from_secs(1), "{}", world.describe());
    assert_eq!(count(&world.effects(), "start web-2 hangs"), 1, "one task for a machine: {}", world.describe());
    // The next leader repeats the call.
    world.lead(world.settled(4)).await;
    assert_eq!(world.times("start web-2").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_join_is_a_failure_with_the_end_of_its_log() {
    let world = World::with_target(1, 2);
    world.set(|state| state.silent = true);
    let course = async {
        world.until("a failure", |world| !error_of(world, "web-2").is_empty()).await;
        assert_eq!(world.now().as_secs(), 60);
        let error = error_of(&world, "web-2");
        assert!(error.contains("did not join within 60s") && error.contains("no space left on device"), "{error}");
        world.set(|state| state.silent = false);
        world.settled(2).await;
    };
    world.lead(course).await;
    assert_eq!(world.events(), ["machine.failed", "machine.recovered"]);
    assert_eq!(world.state().machines.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_joins_after_the_failure_was_recorded_recovers_its_machine() {
    let world = World::with_target(1, 2);
    world.set(|state| state.silent = true);
    let course = async {
        world.until("a failure", |world| !error_of(world, "web-2").is_empty()).await;
        world.join("web-2");
        world.settled(2).await;
    };
    world.lead(course).await;
    assert_eq!(world.events(), ["machine.failed", "machine.recovered"]);
    assert_eq!(count(&world.effects(), "install web-2"), 1, "{}", world.describe());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_becomes_a_node_is_given_up_for_another_one() {
    let world = World::with_target(1, 2);
    world.answer("install web-2", &[Answer::Fails("checksums differ"); 100]);
    let course = async {
        world.until("a failure", |world| !error_of(world, "web-2").is_empty()).await;
        // As if it was requested in 1970.
        let record = world.machine("web-2").unwrap();
        world.put(&keys::machine("web-2"), &MachineRecord { created_ms: 0, ..record });
        world.settled(2).await;
    };
    world.lead(course).await;
    world.assert_order(&["web-2 terminating", "end i-2", "forget web-2"]);
    world.assert_order(&["web-2 terminating", "start web-3", "web-3 joined"]);
    assert_eq!(world.events(), ["machine.failed"]);
    assert!(world.0.records.get::<u64>(&keys::reserved("web-2")).is_none(), "its node's id stays unused");
}
