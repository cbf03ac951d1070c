use std::time::Duration;

use proptest::prelude::{any, prop_assert, proptest};

use super::{Failure, Order, Progress, Step, Strategy, Task, View, Waits, step};

const SECOND: Duration = Duration::from_secs(1);

fn healthy(id: u64) -> Task {
    Task { id, healthy_for: Some(SECOND), ..Task::default() }
}

fn view(copies: u64, new: Vec<Task>, old: Vec<Task>) -> View {
    View { copies, new, old, ..View::default() }
}

#[test]
fn the_first_version_starts_all_at_once() {
    let step = step(&view(3, vec![], vec![]));
    assert_eq!((step.new, step.progress), (3, Progress::Waits(Waits::Healthy(3))));
}

#[test]
fn further_copies_of_the_same_version_start_all_at_once() {
    let now = vec![healthy(1), Task { id: 2, ..Task::default() }];
    assert_eq!(step(&view(5, now.clone(), vec![])).new, 5);
    assert_eq!(step(&View { paused: true, ..view(5, now, vec![]) }).new, 2);
}

#[test]
fn a_new_task_comes_before_an_old_one_goes() {
    let old: Vec<Task> = (1..=3).map(healthy).collect();
    let first = step(&view(3, vec![], old.clone()));
    assert_eq!((first.new, first.drain), (1, vec![]));
    let starting = Task { id: 4, ..Task::default() };
    let second = step(&view(3, vec![starting], old.clone()));
    assert_eq!((second.new, second.drain), (1, vec![]));
    // The surge is used up until the old one is gone.
    let third = step(&view(3, vec![healthy(4)], old.clone()));
    assert_eq!((third.new, third.drain), (1, vec![1]));
    let draining = Task { draining: true, ..healthy(1) };
    let fourth = step(&view(3, vec![healthy(4)], vec![draining, old[1], old[2]]));
    assert_eq!((fourth.new, fourth.drain), (1, vec![]));
    let fifth = step(&view(3, vec![healthy(4)], vec![old[1], old[2]]));
    assert_eq!((fifth.new, fifth.drain), (2, vec![]));
}

#[test]
fn an_old_task_goes_first_where_both_cannot_exist() {
    let strategy = Strategy { order: Order::StopFirst, ..Strategy::default() };
    let old: Vec<Task> = (1..=2).map(healthy).collect();
    let first = step(&View { strategy, ..view(2, vec![], old.clone()) });
    assert_eq!((first.new, first.drain), (0, vec![1]));
    let second = step(&View { strategy, ..view(2, vec![], vec![old[1]]) });
    assert_eq!((second.new, second.drain), (1, vec![]), "one is missing already");
}

#[test]
fn an_old_task_that_is_not_healthy_goes_first() {
    let old = vec![healthy(1), Task { id: 2, ..Task::default() }];
    let step = step(&view(2, vec![healthy(3)], old));
    assert_eq!(step.drain, [2]);
}

#[test]
fn a_version_fails_by_its_tasks_by_time_or_for_want_of_a_node() {
    let old = vec![healthy(1)];
    let failed = step(&View { failures: 3, ..view(1, vec![Task { id: 2, ..Task::default() }], old.clone()) });
    assert_eq!(failed.progress, Progress::Failed(Failure::Tasks(3)));
    assert_eq!(failed.drain, []);
    let late = View { idle_for: 300 * SECOND, ..view(1, vec![Task { id: 2, ..Task::default() }], old.clone()) };
    assert_eq!(step(&late).progress, Progress::Failed(Failure::Unhealthy(300 * SECOND)));
    let reasons = vec!["web-1: needs 900 bytes of memory, 100 free".to_owned()];
    let nowhere = View { unplaced: reasons.clone(), new: vec![], ..late.clone() };
    let Progress::Failed(failure) = step(&nowhere).progress else { panic!("it goes on") };
    assert_eq!(failure.to_string(), format!("the new version fits on no node: {}", reasons[0]));
    // A pause stops the clock.
    assert_eq!(step(&View { paused: true, ..late }).progress, Progress::Waits(Waits::Paused));
}

#[test]
fn a_version_that_is_complete_does_not_fail_because_an_old_node_is_silent() {
    let old = vec![Task { silent: true, ..healthy(1) }];
    let step = step(&View { idle_for: 900 * SECOND, ..view(1, vec![healthy(2)], old) });
    assert_eq!((step.progress, step.drain), (Progress::Waits(Waits::Gone(1)), vec![]));
}

#[test]
fn time_between_batches_and_for_old_tasks_is_not_the_new_versions() {
    let old = vec![healthy(1), Task { draining: true, ..healthy(2) }];
    let strategy = Strategy { delay: 600 * SECOND, ..Strategy::default() };
    let waiting = View { strategy, idle_for: 400 * SECOND, ..view(2, vec![healthy(3)], old) };
    assert!(matches!(step(&waiting).progress, Progress::Waits(_)));
}

#[test]
fn batches_are_apart_in_time() {
    let strategy = Strategy { delay: 30 * SECOND, ..Strategy::default() };
    let young = View { strategy, ..view(2, vec![healthy(3)], vec![healthy(2)]) };
    assert_eq!((step(&young).new, step(&young).progress), (1, Progress::Waits(Waits::Delay(29 * SECOND))));
    let old_enough = Task { healthy_for: Some(30 * SECOND), ..healthy(3) };
    assert_eq!(step(&View { new: vec![old_enough], ..young }).new, 2);
}

/// A service whose tasks do what they are asked to, sooner or later.
struct World {
    view: View,
    next: u64,
}

impl World {
    fn available(&self) -> u64 {
        self.view.old.iter().chain(&self.view.new).filter(|task| task.is_available()).count() as u64
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Task> {
        self.view.old.iter_mut().chain(&mut self.view.new)
    }

    fn carry_out(&mut self, step: &Step) {
        while (self.view.new.iter().filter(|task| task.stays()).count() as u64) < step.new {
            self.next += 1;
            self.view.new.push(Task { id: self.next, ..Task::default() });
        }
        for task in self.all() {
            task.draining |= step.drain.contains(&task.id);
        }
    }

    /// Something happens to one task; which, is `chance`.
    fn happen(&mut self, chance: usize) {
        let count = self.view.old.len() + self.view.new.len();
        if count == 0 {
            return;
        }
        let Some(task) = self.all().nth(chance % count) else { return };
        if task.stopping {
            let id = task.id;
            self.view.old.retain(|task| task.id != id);
            self.view.new.retain(|task| task.id != id);
        } else if task.draining {
            task.stopping = true;
        } else {
            task.healthy_for = Some(task.healthy_for.map_or(Duration::ZERO, |time| time + SECOND));
        }
    }
}

proptest! {
    /// In whatever order things happen, and if the number of copies changes in the middle, the promises hold and it ends.
    #[test]
    fn every_rollout_keeps_its_promises_and_ends(
        copies in 1_u64..6,
        batch in 0_u64..4,
        max_unavailable in 0_u64..3,
        stop_first: bool,
        delay in 0_u64..3,
        rescale in proptest::option::of((0_usize..30, 1_u64..6)),
        chances in proptest::collection::vec(any::<usize>(), 1..60),
    ) {
        let order = if stop_first { Order::StopFirst } else { Order::StartFirst };
        let strategy = Strategy { order, batch, max_unavailable, delay: delay as u32 * SECOND, ..Strategy::default() };
        let old = (1..=copies).map(healthy).collect();
        let mut world = World { view: View { strategy, ..view(copies, vec![], old) }, next: 100 };
        let mut most_copies = copies;
        let mut needed = copies.saturating_sub(if stop_first { max_unavailable.max(1) } else { max_unavailable });
        let mut done = false;
        // After the arbitrary order each task gets its turn, again and again.
        for (n, chance) in chances.iter().copied().chain(0..2_000).enumerate() {
            if let Some((_, other)) = rescale.filter(|(at, _)| *at == n) {
                world.view.copies = other;
                most_copies = most_copies.max(other);
                needed = needed.min(other.saturating_sub(if stop_first { max_unavailable.max(1) } else { max_unavailable }));
            }
            let step = step(&world.view);
            prop_assert!(!matches!(step.progress, Progress::Failed(_)));
            if step.progress == Progress::Done {
                done = true;
                break;
            }
            world.carry_out(&step);
            prop_assert!(world.available() >= needed, "{} of {needed} are available: {:?}", world.available(), world.view);
            let exist = (world.view.old.len() + world.view.new.len()) as u64;
            let surge = if stop_first { 0 } else { batch.max(1) };
            prop_assert!(exist <= most_copies + surge, "{exist} exist: {:?}", world.view);
            world.happen(chance);
        }
        prop_assert!(done, "it does not end: {:?}, {:?}", world.view, step(&world.view));
    }
}
