//! Single decisions, and whole lives of clusters in which machines start, fail and die.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    quorum,
    voters::{
        self, Change,
        tests::{DEAD, members},
    },
};

fn under_way(token: &str, seconds: u64) -> Machine {
    Machine { token: token.to_owned(), stage: Stage::UnderWay { since: Duration::from_secs(seconds) } }
}

fn joined(node: u64) -> Machine {
    Machine { token: format!("t{node}"), stage: Stage::Joined(node) }
}

fn decide(desired: usize, members: &[Member], machines: &[Machine]) -> Plan {
    plan(View { desired, members, machines, available: 100, limit: "", replaced: None }, &Policy::default())
}

fn steps(desired: usize, members: &[Member], machines: &[Machine]) -> Vec<Step> {
    let plan = decide(desired, members, machines);
    assert_eq!(plan.blocked, None);
    plan.steps
}

#[test]
fn missing_nodes_are_started_immediately() {
    assert_eq!(steps(3, &members(1, 1), &[]), [Step::Start(2)]);
    assert_eq!(steps(3, &members(3, 3), &[joined(2), joined(3)]), []);
    let begun = [under_way("b", 1), under_way("a", 2)];
    assert_eq!(steps(3, &members(1, 1), &begun), [Step::Continue("a".into()), Step::Continue("b".into())]);
    assert_eq!(steps(4, &members(1, 1), &begun).last(), Some(&Step::Start(1)));
    assert_eq!(steps(50, &members(1, 1), &[]), [Step::Start(Policy::default().starts_at_once)]);
}

#[test]
fn a_failed_machine_is_replaced() {
    let late = Policy::default().give_up_after.as_secs() + 1;
    let machines = [under_way("old", late), joined(2)];
    assert_eq!(steps(3, &members(2, 1), &machines), [Step::Terminate("old".into()), Step::Start(1)]);
}

#[test]
fn what_is_to_go_goes() {
    let leaving = Machine { token: "x".into(), stage: Stage::Leaving };
    let machines = [leaving, joined(9)];
    let terminated = [Step::Terminate("x".into()), Step::Terminate("t9".into())];
    assert_eq!(steps(1, &members(1, 1), &machines), terminated);
}

#[test]
fn a_dead_node_is_replaced_and_leaves_afterwards() {
    let mut three = members(3, 3);
    three[1].silent_for = Policy::default().suspect_after * 2;
    assert_eq!(steps(3, &three, &[]), [], "silent is not dead");
    three[1].silent_for = DEAD;
    assert_eq!(steps(3, &three, &[]), [Step::Replace]);
    assert_eq!(steps(3, &three, &[under_way("a", 1)]), [Step::Continue("a".into())]);
    let mut four = members(4, 3);
    four[1].silent_for = DEAD;
    assert_eq!(steps(3, &four, &[joined(4)]), [Step::Remove(2)]);
}

#[test]
fn dead_nodes_are_replaced_one_at_a_time_with_a_pause_and_only_when_they_are_few() {
    let policy = Policy::default();
    let decide = |members: &[Member], machines: &[Machine], desired, replaced| {
        plan(View { desired, members, machines, available: 100, limit: "", replaced }, &policy)
    };
    let mut six = members(6, 5);
    six[1].silent_for = DEAD;
    six[2].silent_for = DEAD;
    assert_eq!(decide(&six, &[], 6, None).steps, [Step::Replace]);
    assert_eq!(decide(&six, &[under_way("a", 1)], 6, None).steps, [Step::Continue("a".into())]);
    // Growth continues beside it.
    assert_eq!(decide(&six, &[], 8, None).steps, [Step::Start(2), Step::Replace]);

    let soon = decide(&six, &[], 6, Some(policy.replace_every / 2));
    assert_eq!((soon.steps, soon.blocked), (vec![], Some(Blocked::TooSoon { every: policy.replace_every })));
    assert_eq!(decide(&six, &[], 6, Some(policy.replace_every)).steps, [Step::Replace]);

    six[3].silent_for = DEAD;
    let many = decide(&six, &[], 6, None);
    assert_eq!((many.steps, many.blocked), (vec![], Some(Blocked::TooManyDead { dead: 3, members: 6 })));
    // One may always be lost, although a third of two is less.
    let mut two = members(2, 1);
    two[1].silent_for = DEAD;
    assert_eq!(decide(&two, &[], 2, None).steps, [Step::Replace]);
}

#[test]
fn a_provider_without_machines_is_reported() {
    let members = members(2, 1);
    let plan = plan(
        View { desired: 5, members: &members, machines: &[], available: 1, limit: "", replaced: None },
        &Policy::default(),
    );
    assert_eq!(plan.steps, [Step::Start(1)]);
    assert_eq!(plan.blocked, Some(Blocked::NoMachines { missing: 3, available: 1, limit: String::new() }));
}

#[test]
fn machines_in_progress_go_before_members() {
    let begun = [under_way("a", 9), under_way("b", 5)];
    assert_eq!(steps(4, &members(3, 3), &begun), [Step::Terminate("b".into()), Step::Continue("a".into())]);
    let all = [Step::Terminate("a".into()), Step::Terminate("b".into())];
    assert_eq!(steps(2, &members(3, 3), &begun), all);
    assert_eq!(steps(2, &members(3, 3), &[]), [Step::Remove(3)]);
}

#[test]
fn the_leader_stays() {
    let mut members = members(2, 2);
    members[0].draining = true;
    assert_eq!(steps(1, &members, &[]), [Step::Remove(2)]);
    members.truncate(1);
    assert_eq!(steps(1, &members, &[]), []);
    assert_eq!(decide(0, &members, &[]).blocked, Some(Blocked::Removal(scale::Refusal::Zero)));
}

#[test]
fn a_removal_that_would_lose_the_quorum_waits() {
    let mut three = members(3, 3);
    for member in &mut three[1..] {
        member.silent_for = Policy::default().suspect_after * 2;
    }
    let plan = decide(2, &three, &[]);
    assert_eq!(plan.steps, []);
    assert_eq!(plan.blocked, Some(Blocked::Removal(scale::Refusal::Quorum { node: 3 })));
    three[1].silent_for = Duration::ZERO;
    assert_eq!(steps(2, &three, &[]), [Step::Remove(3)]);
}

/// A cluster in which every step is executed.
struct World {
    desired: usize,
    members: Vec<Member>,
    machines: BTreeMap<String, Stage>,
    tokens: u64,
    last_id: u64,
}

impl World {
    fn new() -> Self {
        Self { desired: 1, members: members(1, 1), machines: BTreeMap::new(), tokens: 0, last_id: 1 }
    }

    fn has_quorum(&self) -> bool {
        quorum::holds(self.members.iter().filter(|member| member.voter), &Policy::default())
    }

    fn plan(&self) -> Plan {
        let machines: Vec<_> =
            self.machines.iter().map(|(token, stage)| Machine { token: token.clone(), stage: stage.clone() }).collect();
        let view = View {
            desired: self.desired,
            members: &self.members,
            machines: &machines,
            available: 100,
            limit: "",
            replaced: None,
        };
        let plan = plan(view, &Policy::default());
        assert_eq!(plan, super::plan(view, &Policy::default()));
        plan
    }

    fn start(&mut self) {
        self.tokens += 1;
        self.machines.insert(format!("t{:03}", self.tokens), Stage::UnderWay { since: Duration::ZERO });
    }

    /// Revives dead members while too many are dead to be replaced, as an operator would.
    fn revive(&mut self) {
        while matches!(self.plan().blocked, Some(Blocked::TooManyDead { .. })) {
            let dead = self.members.iter_mut().find(|member| member.silent_for == DEAD);
            dead.expect("some are dead").silent_for = Duration::ZERO;
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Start(count) => (0..count).for_each(|_| self.start()),
            Step::Replace => self.start(),
            Step::Continue(token) => {
                self.last_id += 1;
                let new = Member { id: self.last_id, voter: false, leader: false, ..members(1, 1)[0].clone() };
                self.members.push(new);
                self.machines.insert(token, Stage::Joined(self.last_id));
            }
            Step::Terminate(token) => drop(self.machines.remove(&token)),
            Step::Remove(id) => {
                assert!(self.members.iter().any(|member| member.id == id && !member.leader));
                self.members.retain(|member| member.id != id);
            }
        }
    }

    fn vote(&mut self) -> bool {
        let Some(change) = voters::next_change(&self.members, &Policy::default()) else { return false };
        let (gain, lose) = match change {
            Change::Promote(ids) => (ids, vec![]),
            Change::Demote(ids) => (vec![], ids),
            Change::Replace { old, new } => (vec![new], vec![old]),
        };
        for member in &mut self.members {
            member.voter = (member.voter || gain.contains(&member.id)) && !lose.contains(&member.id);
        }
        true
    }

    /// Runs until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let plan = self.plan();
            let idle = plan.steps.is_empty();
            for step in plan.steps {
                self.step(step);
                assert!(self.has_quorum(), "{:?}", self.members);
            }
            let voted = self.vote();
            assert!(self.has_quorum(), "{:?}", self.members);
            if idle && !voted {
                return;
            }
        }
        panic!("does not end: {:?} {:?}", self.members, self.machines);
    }
}

/// An event in a cluster's life.
#[derive(Debug, Clone)]
enum Fate {
    Scale(usize),
    /// Members die, by index; never the leader, and never so many that the others are no quorum.
    Die(Vec<prop::sample::Index>),
    /// A machine in progress does not start.
    Stuck,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        (1_usize..12).prop_map(Fate::Scale),
        prop::collection::vec(any::<prop::sample::Index>(), 1..4).prop_map(Fate::Die),
        Just(Fate::Stuck),
    ]
}

proptest! {
    /// After any sequence of events, as long as a quorum lives, the cluster reaches the target number of living nodes
    /// with the right number of voters and no stray machine, and no step breaks its quorum.
    #[test]
    fn clusters_settle(fates in prop::collection::vec(fate(), 1..12)) {
        let policy = Policy::default();
        let mut world = World::new();
        for fate in fates {
            match fate {
                Fate::Scale(desired) => world.desired = desired,
                Fate::Die(places) => {
                    for place in places {
                        let before = world.members.clone();
                        let place = place.index(before.len());
                        if !before[place].leader {
                            world.members[place].silent_for = DEAD;
                        }
                        if !world.has_quorum() {
                            world.members = before;
                        }
                    }
                }
                Fate::Stuck => {
                    world.machines.insert("stuck".into(), Stage::UnderWay { since: policy.give_up_after * 2 });
                }
            }
            world.revive();
            world.settle();
            prop_assert_eq!(world.members.len(), world.desired);
            prop_assert!(world.members.iter().all(|member| member.is_alive(&policy)));
            let voters = world.members.iter().filter(|member| member.voter).count();
            prop_assert_eq!(voters, voters::wanted(world.desired, &policy));
            prop_assert!(world.machines.values().all(
                |stage| matches!(stage, Stage::Joined(id) if world.members.iter().any(|member| member.id == *id))
            ));
        }
    }
}

#[test]
fn a_member_whose_machine_will_be_taken_away_is_replaced_while_it_works() {
    let policy = Policy::default();
    let mut three = members(3, 3);
    three[1].retiring = true;
    assert_eq!(steps(3, &three, &[]), [Step::Replace]);
    assert_eq!(voters::next_change(&three, &policy), None, "it votes until another member can take its vote");
    // The substitute is a member: it gets the vote, and then the other one is removed.
    let mut four = three.clone();
    four.push(Member { id: 4, voter: false, leader: false, ..three[2].clone() });
    assert_eq!(voters::next_change(&four, &policy), Some(Change::Replace { old: 2, new: 4 }));
    assert_eq!(steps(3, &four, &[joined(4)]), [Step::Remove(2)]);
    // The leader leads until it has handed over.
    let mut leading = members(3, 3);
    leading[0].retiring = true;
    assert_eq!(steps(3, &leading, &[]), []);
    // All at once is more likely a mistake.
    let mut all = members(3, 3);
    all.iter_mut().for_each(|member| member.retiring = true);
    assert!(matches!(decide(3, &all, &[]).blocked, Some(Blocked::TooManyDead { .. })));
}

#[test]
fn a_member_that_is_not_healthy_for_long_is_replaced_unless_the_script_spares_it() {
    let policy = Policy::default();
    let mut three = members(3, 3);
    three[1].unhealthy_for = policy.unhealthy_after;
    assert_eq!(steps(3, &three, &[]), [], "it has its time of grace");
    three[1].unhealthy_for *= 2;
    assert_eq!(steps(3, &three, &[]), [Step::Replace]);
    three[1].spared = true;
    assert_eq!(steps(3, &three, &[]), []);
    three[2].silent_for = DEAD;
    assert_eq!(steps(3, &three, &[]), [Step::Replace], "the script has not decided about another one");
    three[2].spared = true;
    assert_eq!(steps(3, &three, &[]), []);
}
