//! Machines: started when nodes are missing, given up when they fail, removed when there are too many.
//!
//! Rules, in this order:
//! 1. Earlier decisions are finished: a machine marked for termination is terminated; so is one of a node that is no
//!    longer a member; a machine that is becoming a node is continued, until that took too long: then it is terminated,
//!    and no longer counts.
//! 2. A dead member counts as missing. Living members and machines in progress together are brought to the target size,
//!    with as many starts at a time as the policy allows.
//!    Dead members are replaced one at a time, with a pause after each, and not at all while more than a third of the
//!    members are dead: then a network partition, or something that kills every machine, is more likely than failing
//!    machines. A member whose machine will be taken away, or that was unhealthy for too long, counts as dead here,
//!    though it works until then; one that the script spares does not.
//! 3. A dead member leaves only once its substitute lives: until then its vote is transferred (see
//!    [`voters`](crate::voters)), and it may still return.
//! 4. Surplus machines in progress go before any member does, the youngest first.
//! 5. Surplus members leave one at a time, in the order of [`scale`], never so that the living voters are no majority.
//!    The leader stays: the leader at that time is the last node of a cluster of one.
//!
//! Nothing here depends on previous answers: called again in the same state it returns the same, and recognises a
//! started machine by its token.

use std::time::Duration;

use crate::{Member, Policy, scale};

/// A machine that the cluster has requested from its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Makes its start idempotent.
    pub token: String,
    /// Its progress.
    pub stage: Stage,
}

/// The progress of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Being started or installed, or about to join.
    UnderWay {
        /// Time since it was requested.
        since: Duration,
    },
    /// It has become this node.
    Joined(u64),
    /// It must be terminated.
    Leaving,
}

/// The target and the current state.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Target number of nodes.
    pub desired: usize,
    /// The members of the membership.
    pub members: &'a [Member],
    /// The machines in the records.
    pub machines: &'a [Machine],
    /// Number of machines that the provider can still start; 0 if it cannot start any.
    pub available: usize,
    /// The reason of that limit, as a text; may be empty.
    pub limit: &'a str,
    /// Time since a machine was last started to replace a dead member; none if that never happened.
    pub replaced: Option<Duration>,
}

/// One step to take now. All steps of a plan may be executed at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Request this many machines, each with a new token.
    Start(usize),
    /// Request a machine that replaces a dead member.
    Replace,
    /// Continue with the machine: start, install, wait for its node.
    Continue(String),
    /// Terminate the machine and delete its record.
    Terminate(String),
    /// Remove the member from the cluster, with its machine.
    Remove(u64),
}

/// Why the number of nodes differs from the target size and nothing is done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// The provider has no more machines.
    #[error("{missing} nodes missing; the provider can start {available}{}", why(limit))]
    NoMachines {
        /// Missing nodes.
        missing: usize,
        /// Number of machines that can be started.
        available: usize,
        /// The reason, or empty.
        limit: String,
    },
    /// More than a third are dead.
    #[error(
        "{dead} of {members} members are dead, and the leader replaces at most a third; bring them back, or remove \
         them with `disco node rm NODE`"
    )]
    TooManyDead {
        /// Dead members.
        dead: usize,
        /// Number of members.
        members: usize,
    },
    /// A member was replaced a short time ago.
    #[error("the leader replaces at most one dead member every {}", words(*every))]
    TooSoon {
        /// The pause.
        every: Duration,
    },
    /// A node cannot be removed now.
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

/// The next steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Empty: nothing to do, or nothing that can be done.
    pub steps: Vec<Step>,
    /// What blocks it.
    pub blocked: Option<Blocked>,
}

/// Decides the next steps.
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
    // Missing nodes apart from dead ones; the rest are dead members to be replaced.
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

/// Whether a machine may be started now to replace one of `dead` dead members out of all. `replaced` as in [`View`].
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

/// Splits the machines into those to terminate and, oldest first, those in progress.
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

/// The next member to remove.
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
