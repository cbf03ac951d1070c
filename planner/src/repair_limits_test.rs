//! Limits of a repair in any sequence of events: one replacement at a time, with a pause after each, never while more
//! than a third are lost, never within the grace period, and never more machines than are available.

use proptest::prelude::*;

use super::*;
use crate::voters::tests::members;

/// Seconds between two decisions.
const LOOK: u64 = 5;
/// Seconds from the request of a machine until it is a member.
const BOOT: u64 = 20;

/// An event before a decision.
#[derive(Debug, Clone)]
enum Event {
    Nothing,
    /// The member at this index falls silent, reports itself as unhealthy, will lose its machine, or recovers.
    Silent(prop::sample::Index),
    Unhealthy(prop::sample::Index),
    Retiring(prop::sample::Index),
    Well(prop::sample::Index),
    /// This many machines are available from now on.
    Available(usize),
    Scale(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        8 => Just(Event::Nothing),
        2 => place().prop_map(Event::Silent),
        1 => place().prop_map(Event::Unhealthy),
        1 => place().prop_map(Event::Retiring),
        2 => place().prop_map(Event::Well),
        1 => (0_usize..4).prop_map(Event::Available),
        1 => (1_usize..10).prop_map(Event::Scale),
    ]
}

/// A member's failures, since when.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    silent: Option<u64>,
    unhealthy: Option<u64>,
    retiring: bool,
}

struct World {
    now: u64,
    desired: usize,
    available: usize,
    members: Vec<Member>,
    troubles: Vec<Trouble>,
    /// Token, time of its request, whether it replaces a lost node.
    machines: Vec<(String, u64, bool)>,
    replaced: Vec<u64>,
    requested: usize,
}

impl World {
    /// The leader is at index 0, and never fails.
    fn trouble(&mut self, place: &prop::sample::Index, change: impl FnOnce(&mut Trouble)) {
        let place = place.index(self.troubles.len());
        if place > 0 {
            change(&mut self.troubles[place]);
        }
    }

    fn happen(&mut self, event: &Event) {
        let now = self.now;
        match event {
            Event::Nothing => {}
            Event::Silent(place) => self.trouble(place, |one| one.silent = one.silent.or(Some(now))),
            Event::Unhealthy(place) => self.trouble(place, |one| one.unhealthy = one.unhealthy.or(Some(now))),
            Event::Retiring(place) => self.trouble(place, |one| one.retiring = true),
            Event::Well(place) => self.trouble(place, |one| *one = Trouble::default()),
            Event::Available(count) => self.available = *count,
            Event::Scale(count) => self.desired = *count,
        }
        for (member, trouble) in self.members.iter_mut().zip(&self.troubles) {
            let since = |at: Option<u64>| at.map_or(Duration::ZERO, |at| Duration::from_secs(now - at));
            member.silent_for = since(trouble.silent);
            member.unhealthy_for = since(trouble.unhealthy);
            member.retiring = trouble.retiring;
        }
    }

    fn decide(&self, policy: &Policy) -> Plan {
        let machines: Vec<Machine> = self
            .machines
            .iter()
            .map(|(token, at, _)| Machine {
                token: token.clone(),
                stage: Stage::UnderWay { since: Duration::from_secs(self.now - at) },
            })
            .collect();
        let replaced = self.replaced.last().map(|at| Duration::from_secs(self.now - at));
        let (members, available) = (&self.members[..], self.available);
        plan(View { desired: self.desired, members, machines: &machines, available, limit: "", replaced }, policy)
    }

    fn ask(&mut self, replaces: bool) {
        self.requested += 1;
        self.available -= 1;
        self.machines.push((format!("t{:03}", self.requested), self.now, replaces));
        if replaces {
            self.replaced.push(self.now);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Start(count) => (0..count).for_each(|_| self.ask(false)),
            Step::Replace => self.ask(true),
            Step::Continue(token) => {
                let at = self.machines.iter().position(|one| one.0 == token).expect("it is under way");
                if self.now - self.machines[at].1 >= BOOT {
                    self.machines.remove(at);
                    let id = self.members.iter().map(|member| member.id).max().unwrap_or(0) + 1;
                    self.members.push(Member { id, voter: false, leader: false, ..members(1, 1)[0].clone() });
                    self.troubles.push(Trouble::default());
                }
            }
            Step::Terminate(token) => self.machines.retain(|one| one.0 != token),
            Step::Remove(id) => {
                let at = self.members.iter().position(|member| member.id == id).expect("it is a member");
                self.members.remove(at);
                self.troubles.remove(at);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_repair_keeps_its_limits(
        count in 1_u64..8,
        grace in 10_u64..90,
        every in 0_u64..300,
        events in prop::collection::vec(event(), 1..200),
    ) {
        let policy = Policy {
            dead_after: Duration::from_secs(grace),
            unhealthy_after: Duration::from_secs(grace),
            replace_every: Duration::from_secs(every),
            ..Policy::default()
        };
        let mut world = World {
            now: 0,
            desired: usize::try_from(count).unwrap(),
            available: 3,
            members: members(count, count),
            troubles: vec![Trouble::default(); usize::try_from(count).unwrap()],
            machines: Vec::new(),
            replaced: Vec::new(),
            requested: 0,
        };
        for event in events {
            world.now += LOOK;
            world.happen(&event);
            let plan = world.decide(&policy);
            let lost: Vec<&Member> = world.members.iter().filter(|member| member.is_lost(&policy)).collect();
            let replaces = plan.steps.iter().filter(|step| **step == Step::Replace).count();
            let starts: usize = plan.steps.iter().map(|step| match step {
                Step::Start(count) => *count,
                Step::Replace => 1,
                _ => 0,
            }).sum();
            prop_assert!(starts <= world.available, "more than can be had: {:?}", plan);
            if replaces > 0 {
                prop_assert_eq!(replaces, 1);
                prop_assert!(!lost.is_empty(), "no member is lost");
                prop_assert!(lost.len() <= (world.members.len() / 3).max(1), "{} of {}", lost.len(), world.members.len());
                // A substitute in progress that is not given up by this very decision.
                let coming = world.machines.iter().filter(|(token, _, replaces)| {
                    *replaces && plan.steps.contains(&Step::Continue(token.clone()))
                });
                let grown = world.desired.saturating_sub(world.members.len());
                prop_assert!(coming.count() <= grown, "two substitutes at a time: {:?}", world.machines);
                if let Some(last) = world.replaced.last() {
                    prop_assert!(world.now - last >= every, "{} s after the one before", world.now - last);
                }
            }
            // A member within its grace period is not removed, unless there are too many members.
            for step in &plan.steps {
                if let Step::Remove(id) = step {
                    let gone = world.members.iter().find(|member| member.id == *id).unwrap();
                    prop_assert!(gone.is_lost(&policy) || world.members.len() > world.desired);
                }
            }
            for step in plan.steps {
                world.take(step);
            }
        }
    }
}

#[test]
fn the_default_is_one_in_ten_minutes_after_a_minute_of_grace() {
    let usual = Policy::default();
    assert_eq!((usual.replace_every, usual.unhealthy_after), (Duration::from_secs(600), Duration::from_secs(60)));
    let too_soon = Blocked::TooSoon { every: usual.replace_every }.to_string();
    assert_eq!(too_soon, "the leader replaces at most one dead member every 10 minutes");
    let seconds = Blocked::TooSoon { every: Duration::from_secs(45) }.to_string();
    assert_eq!(seconds, "the leader replaces at most one dead member every 45 s");
}
