//! Machines' permissions at the provider, and the cluster's address.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::addresses::Addresses;
use super::super::roles::{Roles, give_before_promotion};
use super::world::{Answer, World};
use crate::controllers::driver::{Controller, Outcome};

#[tokio::test(start_paused = true)]
async fn voters_machines_get_permissions_and_others_lose_them() {
    let (world, mut roles) = (World::new(3), Roles::default());
    world.set(|state| state.members.get_mut(&3).unwrap().voter = false);
    world.answer("rights i-2", &[Answer::Fails("throttled")]);
    let error = roles.pass(&world.leader()).await.unwrap_err();
    assert!(format!("{error:#}").contains("machine i-2"), "{error:#}");
    let granted = |votes: &[(&str, bool)]| votes.iter().map(|(id, votes)| ((*id).to_owned(), *votes)).collect();
    let expected: BTreeMap<String, bool> = granted(&[("i-1", true), ("i-3", false)]);
    assert_eq!(world.state().votes, expected, "one failure holds up no other");
    assert_eq!(roles.pass(&world.leader()).await.unwrap(), Outcome::Settled);
    assert_eq!(world.state().votes, granted(&[("i-1", true), ("i-2", true), ("i-3", false)]));
    let effects = world.effects();
    roles.pass(&world.leader()).await.unwrap();
    assert_eq!(world.effects(), effects, "nothing has changed");
    world.set(|state| state.members.get_mut(&3).unwrap().voter = true);
    roles.pass(&world.leader()).await.unwrap();
    assert!(world.state().votes["i-3"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_without_an_answer_delays_a_promotion_by_ten_seconds_at_most() {
    let world = World::new(2);
    world.answer("rights i-2", &[Answer::Hangs]);
    give_before_promotion(&world.leader(), 2).await;
    assert_eq!(world.now(), Duration::from_secs(10));
    give_before_promotion(&world.leader(), 2).await;
    assert!(world.state().votes["i-2"]);
}

#[tokio::test(start_paused = true)]
async fn the_address_moves_to_a_leader_that_has_settled_and_a_failed_move_is_tried_again() {
    let (world, mut addresses) = (World::new(2), Addresses::default());
    let settles = Duration::from_secs(5);
    assert_eq!(addresses.pass(&world.leader()).await.unwrap(), Outcome::Rests(settles));
    world.pass(settles).await;
    world.answer("address i-1", &[Answer::Fails("in use")]);
    let error = addresses.pass(&world.leader()).await.unwrap_err();
    assert!(format!("{error:#}").contains("moving the cluster's address"), "{error:#}");
    assert!(world.events().is_empty());
    for _ in 0..3 {
        addresses.pass(&world.leader()).await.unwrap();
    }
    assert_eq!(world.effects(), ["address i-1 fails", "address i-1", "event address.moved"]);
    assert_eq!(world.state().holder.as_deref(), Some("i-1"));
}
