//! The combined result of all steps of [`repair`], if every start succeeds and nothing else happens meanwhile. For
//! operators who want to know it beforehand.

use crate::repair::{self, Blocked, Step, View};
use crate::{Member, Policy, scale};

/// All changes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Machines in progress that become nodes, by their tokens, oldest first.
    pub going_on: Vec<String>,
    /// New machines that become nodes.
    pub starts: usize,
    /// Number of these that replace dead members.
    pub replacements: usize,
    /// Machines without a member that are terminated.
    pub terminated: Vec<String>,
    /// Members that leave, in order.
    pub removed: Vec<u64>,
    /// What blocks some or all of it.
    pub blocked: Option<Blocked>,
}

impl Forecast {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { going_on, starts, replacements: _, terminated, removed, blocked: _ } = self;
        going_on.is_empty() && *starts == 0 && terminated.is_empty() && removed.is_empty()
    }
}

/// Computes the changes.
#[must_use]
pub fn forecast(view: View<'_>, policy: &Policy) -> Forecast {
    let mut steps = Vec::new();
    let mut going_on = repair::machines(view, policy, &mut steps);
    let living = view.members.iter().filter(|member| !member.is_lost(policy)).count();
    let surplus = (living + going_on.len()).saturating_sub(view.desired).min(going_on.len());
    let surplus = going_on.split_off(going_on.len() - surplus);
    let given_up = steps.into_iter().filter_map(|step| match step {
        Step::Terminate(token) => Some(token),
        _ => None,
    });
    let mut forecast = Forecast { terminated: given_up.chain(surplus).collect(), ..Forecast::default() };

    let missing = view.desired.saturating_sub(living + going_on.len());
    let growth = view.desired.saturating_sub(view.members.len() + going_on.len()).min(missing);
    let mut replacements = missing - growth;
    if replacements > 0 {
        // Machines that grow the cluster come first.
        let (members, dead) = (view.members.len() + growth + going_on.len(), view.members.len() - living);
        match repair::may_replace(members, dead, view.replaced, policy) {
            Ok(()) => {}
            Err(blocked) => {
                // Only the pause ends by itself.
                if !matches!(blocked, Blocked::TooSoon { .. }) {
                    replacements = 0;
                }
                forecast.blocked = Some(blocked);
            }
        }
    }
    if growth + replacements > view.available {
        let (missing, limit) = (growth + replacements, view.limit.to_owned());
        forecast.blocked = Some(Blocked::NoMachines { missing, available: view.available, limit });
    }
    forecast.starts = (growth + replacements).min(view.available);
    forecast.replacements = replacements.min(forecast.starts.saturating_sub(growth));
    let joined = going_on.len() + forecast.starts;
    forecast.going_on = going_on;

    let mut members = view.members.to_vec();
    members.extend((0..joined).map(|number| substitute(number, view.members)));
    // A dead member leaves only once enough others live.
    if living + joined >= view.desired && members.len() > view.desired {
        match scale::check(&members, view.desired, policy) {
            Ok(removed) => forecast.removed = removed,
            Err(refusal) => forecast.blocked = Some(Blocked::Removal(refusal)),
        }
    }
    forecast
}

/// The member that a machine will become.
fn substitute(number: usize, members: &[Member]) -> Member {
    let id = members.iter().map(|member| member.id).max().unwrap_or(0) + 1 + number as u64;
    Member {
        id,
        voter: false,
        leader: false,
        silent_for: std::time::Duration::ZERO,
        up_to_date: true,
        draining: false,
        retiring: false,
        unhealthy_for: std::time::Duration::ZERO,
        spared: false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::repair::{Machine, Stage};
    use crate::voters::tests::{DEAD, members};

    fn view<'a>(desired: usize, members: &'a [Member], machines: &'a [Machine]) -> View<'a> {
        View { desired, members, machines, available: 100, limit: "", replaced: None }
    }

    #[test]
    fn nothing_is_forecast_at_the_target_size() {
        let three = members(3, 3);
        let forecast = forecast(view(3, &three, &[]), &Policy::default());
        assert!(forecast.is_empty() && forecast.blocked.is_none(), "{forecast:?}");
    }

    #[test]
    fn a_cluster_grows_and_shrinks() {
        let (policy, three) = (Policy::default(), members(3, 3));
        let grown = forecast(view(5, &three, &[]), &policy);
        assert_eq!((grown.starts, grown.replacements, grown.removed), (2, 0, vec![]));
        let under_way = [Machine { token: "web-4".into(), stage: Stage::UnderWay { since: Duration::ZERO } }];
        let going_on = forecast(view(5, &three, &under_way), &policy);
        assert_eq!((going_on.going_on, going_on.starts), (vec!["web-4".to_owned()], 1));
        let shrunk = forecast(view(1, &three, &under_way), &policy);
        assert_eq!((shrunk.terminated, shrunk.removed), (vec!["web-4".to_owned()], vec![3, 2]));
    }

    #[test]
    fn a_dead_member_is_replaced_and_goes() {
        let policy = Policy::default();
        let mut three = members(3, 3);
        three[1].silent_for = DEAD;
        let replaced = forecast(view(3, &three, &[]), &policy);
        assert_eq!((replaced.starts, replaced.replacements, replaced.removed.clone()), (1, 1, vec![2]));
        // Soon after another replacement it has to wait, and is still forecast.
        let waiting = forecast(View { replaced: Some(Duration::ZERO), ..view(3, &three, &[]) }, &policy);
        assert_eq!((waiting.starts, waiting.removed), (1, vec![2]));
        assert!(matches!(waiting.blocked, Some(Blocked::TooSoon { .. })));
        three[2].silent_for = DEAD;
        let held = forecast(view(3, &three, &[]), &policy);
        assert!(
            held.is_empty() && matches!(held.blocked, Some(Blocked::TooManyDead { dead: 2, members: 3 })),
            "{held:?}"
        );
    }

    #[test]
    fn missing_machines_are_reported() {
        let (policy, three) = (Policy::default(), members(3, 3));
        let few = forecast(View { available: 1, limit: "too dear", ..view(6, &three, &[]) }, &policy);
        assert_eq!(few.starts, 1);
        let text = few.blocked.expect("the forecast is blocked").to_string();
        assert_eq!(text, "3 nodes missing; the provider can start 1: too dear");
    }

    proptest! {
        /// Executing the decisions step by step leads to the forecast.
        #[test]
        fn the_steps_lead_to_the_forecast(
            dead in prop::collection::vec(any::<bool>(), 0..6),
            under_way in 0usize..4,
            desired in 1usize..8,
        ) {
            let policy = Policy { replace_every: Duration::ZERO, ..Policy::default() };
            let mut all = members(1 + dead.len() as u64, 1);
            for (member, dead) in all[1..].iter_mut().zip(dead) {
                member.silent_for = if dead { DEAD } else { Duration::ZERO };
            }
            let mut machines: Vec<Machine> = (0..under_way)
                .map(|n| Machine { token: format!("t{n}"), stage: Stage::UnderWay { since: Duration::from_secs(9 - n as u64) } })
                .collect();
            let foreseen = forecast(view(desired, &all, &machines), &policy);
            let (mut starts, mut removed, mut terminated) = (0, Vec::new(), Vec::new());
            for _ in 0..100 {
                let plan = repair::plan(view(desired, &all, &machines), &policy);
                let mut changed = false;
                for step in plan.steps {
                    changed = true;
                    match step {
                        Step::Start(_) | Step::Replace => {
                            let count = if let Step::Start(count) = step { count } else { 1 };
                            for _ in 0..count {
                                starts += 1;
                                let id = all.iter().map(|member| member.id).max().unwrap_or(0).max(1000) + 1;
                                all.push(Member { id, voter: false, leader: false, silent_for: Duration::ZERO, ..all[0].clone() });
                            }
                        }
                        Step::Continue(token) => {
                            machines.retain(|machine| machine.token != token);
                            let id = all.iter().map(|member| member.id).max().unwrap_or(0).max(1000) + 1;
                            all.push(Member { id, voter: false, leader: false, silent_for: Duration::ZERO, ..all[0].clone() });
                        }
                        Step::Terminate(token) => {
                            machines.retain(|machine| machine.token != token);
                            terminated.push(token);
                        }
                        Step::Remove(id) => {
                            all.retain(|member| member.id != id);
                            removed.push(id);
                        }
                    }
                }
                if !changed {
                    break;
                }
            }
            removed.sort_unstable();
            let mut expected = foreseen.removed.clone();
            expected.sort_unstable();
            prop_assert_eq!(foreseen.starts, starts, "{:?}", foreseen);
            prop_assert_eq!(expected, removed, "{:?}", foreseen);
            prop_assert_eq!(foreseen.terminated.len(), terminated.len(), "{:?}", foreseen);
        }
    }
}
