//! Machines that must end.

use std::time::Duration;

use super::provider::machine;
use super::world::{Answer, At, When, World};
use crate::cluster::nodes::removal::REMOVED;
use crate::records::{MachineRecord, keys, machine_state as state};

/// One node, and these machines, which must end.
fn ending(numbers: &[u64]) -> World {
    let world = World::with_target(1, 1);
    for number in numbers {
        let (token, id) = (format!("web-{number}"), format!("i-{number}"));
        world.set(|state| state.machines.push(machine(*number, &token)));
        let (name, state) = (token.clone(), state::TERMINATING.to_owned());
        world.put(
            &keys::machine(&token),
            &MachineRecord { token: token.clone(), name, id, state, ..MachineRecord::default() },
        );
    }
    world
}

fn is_gone(world: &World, token: &str) -> bool {
    world.machine(token).is_none()
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_cannot_be_ended_is_tried_again_with_one_event_and_holds_up_no_other() {
    let world = ending(&[7, 8]);
    world.answer(
        "end i-7",
        &[Answer::Fails("access denied"), Answer::Fails("access denied"), Answer::Fails("throttled")],
    );
    let course = async {
        world.until("web-8 is gone", |world| is_gone(world, "web-8")).await;
        for error in ["access denied", "throttled"] {
            world.until(error, |world| world.machine("web-7").is_some_and(|one| one.error.contains(error))).await;
        }
        world.until("web-7 is gone", |world| is_gone(world, "web-7")).await;
    };
    world.lead(course).await;
    let times = world.times("end i-7");
    let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [10, 10, 10], "{}", world.describe());
    assert!(world.times("forget web-8")[0] < Duration::from_secs(1), "{}", world.describe());
    assert_eq!(world.events(), ["machine.not_ended"]);
    assert!(world.event_records()[0].message.contains("access denied"));
    assert_eq!(world.state().machines.len(), 1);
    let removed = |state: &super::world::State| {
        let steps = state.progress.iter().filter(|step| step.done && step.state == REMOVED);
        steps.map(|step| step.subject.clone()).collect::<Vec<_>>()
    };
    assert_eq!(removed(&world.state()), ["web-8", "web-7"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_without_an_answer_is_a_failure_after_three_minutes_and_holds_up_no_other_machine() {
    let world = ending(&[7, 8]);
    world.answer("end i-7", &[Answer::Hangs]);
    world.put(keys::DESIRED_NODES, &2_u32);
    let course = async {
        world.until("web-8 is gone", |world| is_gone(world, "web-8")).await;
        world.until("web-2 is a node", |world| world.state().members.len() == 2).await;
        assert!(world.now() < Duration::from_secs(1), "{}", world.describe());
        world.until("web-7 is gone", |world| is_gone(world, "web-7")).await;
    };
    world.lead(course).await;
    assert_eq!(world.times("end i-7")[0].as_secs(), 190, "{}", world.describe());
    assert_eq!(world.events(), ["machine.not_ended"]);
    assert!(world.event_records()[0].message.contains("has not ended within 180 s"));
}

#[tokio::test(start_paused = true)]
async fn wherever_the_term_ends_the_next_leader_ends_the_machine() {
    let whole = ending(&[7]);
    whole.lead(whole.settled(1)).await;
    let effects = whole.state().count;
    assert_eq!(whole.effects(), ["end i-7", "forget web-7"]);
    for (number, when) in (1..=effects).flat_map(|number| [(number, When::Before), (number, When::After)]) {
        let world = ending(&[7]);
        world.end_term(At::Number(number), when);
        world.lead(world.settled(1)).await;
        assert!(is_gone(&world, "web-7"), "{}", world.describe());
        assert!(world.events().is_empty(), "{:?}", world.events());
    }
}
