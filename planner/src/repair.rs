//! Machines: started where nodes are missing, given up where they come to nothing, removed where there are too many.
//!
//! Rules, in this order:
//! 1. What was decided before is finished: a machine that is to go, goes; one that belongs to a node which is no member any more
//!    goes too; one that is on its way to become a node is worked on, until that took too long: then it goes, and counts no
//!    more.
//! 2. A dead member counts as missing. Together with the machines under way, those that live are brought to the wished number,
//!    as many starts at a time as the policy allows.
//!    Dead members are replaced one at a time, with a pause after each, and not at all while more than a third of the members
//!    are dead: that is rather a network that is cut, or something that kills every machine, than machines that fail.
//!    A member whose machine will be taken away, or that has not been healthy for too long, counts as dead here, though it works
//!    until then; one that the script spares does not.
//! 3. A dead member leaves only when its substitute lives: until then its vote is handed on (see [`voters`](crate::voters)), and
//!    it may still come back.
//! 4. Too many machines under way go before any member does, the youngest first.
//! 5. Members that are too many leave one at a time, in the order of [`scale`], never so that the living voters
//!    are no majority. The leader stays: whoever leads by then is the last node of a cluster of one.
//!
//! Nothing here depends on what was answered before: asked again in the same state it answers the same, and what was begun is
//! recognised as a machine under way, by its token.

use std::time::Duration;

use crate::{Member, Policy, scale};

/// A machine that the cluster has asked its provider for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Makes its start happen once at most.
    pub token: String,
    /// How far it is.
    pub stage: Stage,
}

/// How far a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Being started or installed, or about to join.
    UnderWay {
        /// Since it was asked for.
        since: Duration,
    },
    /// It has become this node.
    Joined(u64),
    /// Is to be terminated.
    Leaving,
}

/// What is wished and what is there.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Wished number of nodes.
    pub desired: usize,
    /// As in the membership.
    pub members: &'a [Member],
    /// As in the records.
    pub machines: &'a [Machine],
    /// Machines that the provider can still start; 0 where it cannot make any.
    pub available: usize,
    /// Why it is not more, in words; empty where there is nothing to say.
    pub limit: &'a str,
    /// Since a machine was started in the place of a dead member; none where none ever was.
    pub replaced: Option<Duration>,
}

/// One thing to do now. All that are named together may be done at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask for so many machines, each by a new token.
    Start(usize),
    /// The same for one that takes a dead member's place.
    Replace,
    /// Go on with the machine: start, install, wait for its node.
    Continue(String),
    /// Terminate the machine and forget it.
    Terminate(String),
    /// Take the member out of the cluster, with its machine.
    Remove(u64),
}

/// Why there are fewer or more nodes than wished and nothing is done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// The provider has no more.
    #[error("{missing} nodes missing; the provider can start {available}{}", why(limit))]
    NoMachines {
        /// Missing nodes.
        missing: usize,
        /// Of these can be started.
        available: usize,
        /// Why, in words, or empty.
        limit: String,
    },
    /// More than a third are dead.
    #[error(
        "{dead} of {members} members are dead, and the leader replaces at most a third; bring them back, or remove \
         them with `disco node rm`"
    )]
    TooManyDead {
        /// Dead members.
        dead: usize,
        /// Of so many.
        members: usize,
    },
    /// One was replaced a short time ago.
    #[error("the leader replaces at most one dead member every {}", words(*every))]
    TooSoon {
        /// The pause.
        every: Duration,
    },
    /// Removing is not possible now.
    #[error("a node cannot be removed now")]
    Removal(#[source] scale::Refusal),
}

fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 && seconds.is_multiple_of(60) {
        format!("{} minutes", seconds / 60)
    } else {
        format!("{seconds} s")
    }
}

fn why(limit: &str) -> String {
    if limit.is_empty() { String::new() } else { format!(": {limit}") }
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Empty: nothing, or nothing that can be done.
    pub steps: Vec<Step>,
    /// What stands in the way.
    pub blocked: Option<Blocked>,
}

/// Decides what to do next.
#[must_use]
pub fn plan(view: View<'_>, policy: &Policy) -> Plan {
    let mut plan = Plan::default();
    let mut under_way = machines(view, policy, &mut plan.steps);
    let living = view.members.iter().filter(|member| !member.is_lost(policy)).count();

    let surplus = (living + under_way.len()).saturating_sub(view.desired).min(under_way.len());
    let surplus = under_way.split_off(under_way.len() - surplus);
    let any_surplus = !surplus.is_empty();
    plan.steps.extend(surplus.into_iter().map(Step::Terminate));
    let room = policy.starts_at_once.saturating_sub(under_way.len());
    let missing = view.desired.saturating_sub(living + under_way.len());
    // What would be missing if nobody were dead; what is more are dead members to be replaced.
    let growth = view.desired.saturating_sub(view.members.len() + under_way.len()).min(missing);
    let replacing = under_way.len() > view.desired.saturating_sub(view.members.len());
    plan.steps.extend(under_way.into_iter().map(Step::Continue));

    let starts = growth.min(view.available).min(room);
    if starts > 0 {
        plan.steps.push(Step::Start(starts));
    }
    if missing > growth && !replacing && view.available > starts && room > starts {
        match may_replace(view.members.len(), view.members.len() - living, view.replaced, policy) {
            Ok(()) => plan.steps.push(Step::Replace),
            Err(blocked) => plan.blocked = Some(blocked),
        }
    }
    if missing > view.available {
        plan.blocked = Some(Blocked::NoMachines { missing, available: view.available, limit: view.limit.to_owned() });
    }
    if living >= view.desired && view.members.len() > view.desired && !any_surplus {
        removal(view, policy, &mut plan);
    }
    plan
}

/// Whether a machine may be started now in the place of one of so many dead of so many members. `replaced` as in [`View`].
pub(crate) fn may_replace(
    members: usize,
    dead: usize,
    replaced: Option<Duration>,
    policy: &Policy,
) -> Result<(), Blocked> {
    if dead > (members / 3).max(1) {
        return Err(Blocked::TooManyDead { dead, members });
    }
    match replaced {
        Some(since) if since < policy.replace_every => Err(Blocked::TooSoon { every: policy.replace_every }),
        _ => Ok(()),
    }
}

/// Sorts the machines into those to terminate and, oldest first, those under way.
pub(crate) fn machines(view: View<'_>, policy: &Policy, steps: &mut Vec<Step>) -> Vec<String> {
    let mut under_way = Vec::new();
    for machine in view.machines {
        match machine.stage {
            Stage::UnderWay { since } if since <= policy.give_up_after => {
                under_way.push((since, machine.token.clone()))
            }
            Stage::Joined(node) if view.members.iter().any(|member| member.id == node) => (),
            _ => steps.push(Step::Terminate(machine.token.clone())),
        }
    }
    under_way.sort_by(|a, b| b.cmp(a));
    under_way.into_iter().map(|(_, token)| token).collect()
}

/// The next member to leave.
fn removal(view: View<'_>, policy: &Policy, plan: &mut Plan) {
    match scale::check(view.members, view.members.len() - 1, policy) {
        Ok(leaving) => plan.steps.extend(leaving.into_iter().map(Step::Remove)),
        Err(refusal) => plan.blocked = Some(Blocked::Removal(refusal)),
    }
}

#[cfg(test)]
#[path = "repair_test.rs"]
mod tests;

#[cfg(test)]
#[path = "repair_limits_test.rs"]
mod limits;
