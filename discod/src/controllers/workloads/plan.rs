//! One pass as a function: records and what is seen of nodes in, records as they shall be out.
//!
//! Nothing is remembered from one pass to the next: how far a rollout is, how often its version has failed and since when
//! nothing became better is all read from records, so the next leader continues where this one was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use disco_planner::placement::{self, Copies as Count, Group, Plan};
use disco_planner::rollout::{self, Order, Progress, Step, View, Waits};

use super::apply::Budget;
use super::pass::{Pass, millis};
use super::place::is_here;
use super::seen::Seen;
use super::service::{Mode, Situation};
use super::{apply, ends, failure, finish, place, reload, rollout as view, service, tidy};
use crate::cluster::workloads::draft::Draft;
use crate::cluster::workloads::recorded::Workloads;
use crate::cluster::workloads::table::ServiceId;
use crate::cluster::workloads::values::can_reload;
use crate::records::{Copies, Goal, GroupRecord, RolloutRecord, TaskRecord};

/// What is missing.
pub(super) struct Planned {
    /// The records as they shall be, and events.
    pub draft: Draft,
    /// When time alone changes the plan: milliseconds from now.
    pub due: Option<u64>,
    /// What rollouts wait for.
    pub waits: Vec<String>,
}

/// A rollout, and its next step.
struct Rolling {
    view: View,
    /// Without the time that has passed, and without what has no node: neither changes what shall exist.
    step: Step,
    held: Option<view::Held>,
    /// It waits for long, or for an operator: the previous version keeps so many copies meanwhile.
    previous: Option<(Arc<GroupRecord>, u64)>,
}

/// A rollout that waits for so long leaves what fails of the previous version to the planner again.
const LONG: Duration = Duration::from_secs(10);

/// Plans one pass.
pub(super) fn plan(records: &Workloads, seen: &Seen) -> Planned {
    let mut pass = Pass::new(records.clone(), seen);
    ends::note(&mut pass);
    apply::end_orphans(&mut pass);
    reload::carry_over(&mut pass);
    let situations = service::all(&pass);
    let nodes = place::nodes(&pass);
    let mut rolling = BTreeMap::new();
    let (mut groups, mut budgets) = (Vec::new(), BTreeMap::new());
    for situation in &situations {
        let Some(group) = situation.group() else { continue };
        let (copies, budget) = match &situation.mode {
            Mode::Rolls(group, record) => {
                let found = begin(&pass, situation, group, record, &nodes);
                let wanted = wanted(situation, found.step.new, &found.view);
                if let Some((previous, count)) = &found.previous {
                    groups.push(place::group(previous, Count::Count(*count), BTreeSet::new()));
                    budgets.insert(previous.id, after_failures(&mut pass, &situation.id, previous.id, u64::MAX));
                }
                rolling.insert(situation.id.clone(), found);
                wanted
            }
            _ => keep(situation),
        };
        let budget = after_failures(&mut pass, &situation.id, group.id, budget);
        groups.push(place::group(group, copies, situation.done.clone()));
        budgets.insert(group.id, budget);
    }
    for group in &mut groups {
        group.preferred = seen.preferred.get(&group.id).cloned().unwrap_or_default();
    }
    let ids: BTreeSet<u64> = groups.iter().map(|group| group.id).collect();
    let placed = placement::plan(&nodes, &groups, &place::tasks(&pass, &ids));
    let none = Budget::default();
    let mut failed = Vec::new();
    for situation in &situations {
        match &situation.mode {
            Mode::Ends(why) => apply::end_all(&mut pass, &situation.id, why),
            Mode::Unknown => {}
            Mode::Job(group) => finish::job(&mut pass, situation, group.id),
            Mode::Keeps(group) => {
                apply::end_spare_others(&mut pass, &situation.id, group, situation.service.copies);
                let budget = budgets.get(&group.id).unwrap_or(&none);
                let unplaced = apply::placement(&mut pass, situation, group, &placed, budget, true);
                apply::note_unplaced(&mut pass, &situation.id, &unplaced);
            }
            Mode::Rolls(group, record) => {
                let Some(found) = rolling.remove(&situation.id) else { continue };
                let budget = budgets.get(&group.id).unwrap_or(&none);
                let before = found.previous.as_ref().and_then(|(previous, _)| budgets.get(&previous.id));
                let budgets = [budget, before.unwrap_or(&none)];
                failed.extend(roll(&mut pass, situation, group, record, found, &placed, budgets));
            }
        }
    }
    may_run_again(&mut pass);
    for failure in failed {
        failure::fail(&mut pass, &failure);
    }
    finish::services(&mut pass, &situations);
    finish::deployments(&mut pass);
    tidy::tidy(&mut pass);
    Planned { draft: pass.draft, due: pass.due, waits: pass.waits }
}

/// The view of a rollout and its next step.
fn begin(
    pass: &Pass,
    situation: &Situation,
    group: &GroupRecord,
    record: &RolloutRecord,
    nodes: &[placement::Node],
) -> Rolling {
    let copies = match situation.service.copies {
        Copies::Number(count) => u64::from(count),
        Copies::EveryNode => {
            let each: Group = place::group(group, Count::EachNode, situation.done.clone());
            let meant = placement::meant(&each, nodes);
            // Without any node it waits for one.
            (meant.union(&situation.done).count() as u64).max(1)
        }
    };
    let view = view::view(pass, situation, group, record, copies);
    let held = match record.failed {
        // What ran before runs again as soon as possible.
        Some(_) => None,
        None => view::held(pass, &situation.id, group),
    };
    let mut step = rollout::step(&View { idle_for: Duration::ZERO, ..view.clone() });
    if held.is_some() {
        step.new = step.new.min(staying(&view));
        step.drain.clear();
    }
    let waits = held.is_some() || view.paused || view.idle_for >= LONG;
    let previous = waits.then(|| previous(pass, situation, &view, &mut step)).flatten();
    Rolling { view, step, held, previous }
}

/// The version before, and how many copies of it are needed beside all others.
fn previous(pass: &Pass, situation: &Situation, view: &View, step: &mut Step) -> Option<(Arc<GroupRecord>, u64)> {
    let settled = situation.service.settled.filter(|settled| settled.group != situation.service.group)?;
    let Copies::Number(_) = situation.service.copies else { return None };
    let group = pass.records().groups.shared(&settled.group)?;
    if situation.group().is_some_and(|coming| can_reload(&group, coming)) {
        // Its tasks are those of the coming version already, and serve with the files that they have.
        return None;
    }
    let taken_over = match view.strategy.order {
        Order::StartFirst => view.new.iter().filter(|task| task.healthy_for.is_some() && !task.silent).count() as u64,
        Order::StopFirst => staying(view).max(1),
    };
    let needed = view.copies.saturating_sub(taken_over);
    let staying = view.old.iter().filter(|task| !task.draining && !task.stopping);
    let staying: Vec<&TaskRecord> = staying.filter_map(|task| pass.records().tasks.get(&task.id)).collect();
    let is_drained =
        |task: &TaskRecord| pass.records().nodes.get(&task.node).is_none_or(|node| node.drained || node.leaving);
    let good: Vec<&TaskRecord> = staying.into_iter().filter(|task| !is_drained(task)).collect();
    let heard = good.iter().filter(|task| is_here(pass, task.node)).count() as u64;
    if heard <= needed {
        // What is too many is on drained nodes, and goes when others have taken its place.
        step.drain.clear();
    }
    let of_others =
        good.iter().filter(|task| task.group != group.id && pass.is_healthy(task) && is_here(pass, task.node)).count()
            as u64;
    let of_group = good.iter().filter(|task| task.group == group.id).count() as u64;
    // The rollout alone decides which of them are too many.
    Some((group, needed.saturating_sub(of_others).max(of_group)))
}

/// New tasks that stay.
fn staying(view: &View) -> u64 {
    view.new.iter().filter(|task| !task.draining && !task.stopping).count() as u64
}

/// How many copies there shall be now, and how many may start.
fn wanted(situation: &Situation, new: u64, view: &View) -> (Count, u64) {
    match situation.service.copies {
        Copies::Number(_) => (Count::Count(new), u64::MAX),
        Copies::EveryNode => (Count::EachNode, new.saturating_sub(staying(view))),
    }
}

/// The same for a service without a rollout.
fn keep(situation: &Situation) -> (Count, u64) {
    match situation.service.copies {
        Copies::Number(count) => (Count::Count(count.into()), u64::MAX),
        Copies::EveryNode => (Count::EachNode, u64::MAX),
    }
}

/// After failures of a version new tasks with the numbers of those that failed wait. Others, for copies of a lost or drained node,
/// do not.
fn after_failures(pass: &mut Pass, id: &ServiceId, group: u64, most: u64) -> Budget {
    let back_off = view::back_off(pass, id, group);
    if back_off == 0 {
        return Budget { most, held: BTreeSet::new() };
    }
    pass.due_in(back_off);
    Budget { most, held: view::failed(pass, id, group).map(|task| task.index).collect() }
}

/// Takes the next step of a rollout. Returns the failure of its version, if it has failed.
fn roll(
    pass: &mut Pass,
    situation: &Situation,
    group: &GroupRecord,
    record: &RolloutRecord,
    found: Rolling,
    placed: &Plan,
    [budget, budget_before]: [&Budget; 2],
) -> Option<failure::Failed> {
    let id = &situation.id;
    let limit = found.view.strategy.limit;
    let rest = limit.saturating_sub(found.view.idle_for);
    let texts = apply::unplaced(pass, situation, group, placed, budget);
    let view = View { unplaced: texts.clone(), ..found.view };
    let step = if found.held.is_some() { found.step.clone() } else { rollout::step(&view) };
    let failed = match (&step.progress, &found.held) {
        (Progress::Failed(why), _) => Some(why.to_string()),
        (_, Some(held)) if held.rests && rest.is_zero() => {
            Some(format!("it waited {} s for {}", limit.as_secs(), held.what))
        }
        _ => None,
    };
    if let Some(why) = failed {
        let unplaced = (!texts.is_empty() && matches!(step.progress, Progress::Failed(rollout::Failure::Unplaced(_))))
            .then(|| texts.join("; "));
        let reason = view::last_reason(pass, id, group.id, record.first_task).filter(|_| unplaced.is_none());
        let why = reason.map_or_else(|| why.clone(), |reason| format!("{why}: {reason}"));
        return Some(failure::Failed { id: id.clone(), why, unplaced });
    }
    if record.failed.is_some() && !view.paused {
        let limit = Duration::from_millis(group.spec.update.limit_ms);
        let rest = limit.saturating_sub(view::idle_for(pass, id, group, record));
        let missing = step.progress != Progress::Done && view.old.iter().all(|task| !task.draining && !task.stopping);
        if rest.is_zero() && missing {
            let why = format!("the previous version of `{}` was not healthy within {} s either", id.1, limit.as_secs());
            finish::give_up(pass, id, record.deployment, &why);
            return None;
        }
        if !rest.is_zero() {
            pass.due_in(millis(rest).max(1));
        }
    }
    for task in &found.step.drain {
        apply::end(pass, *task, "another version takes its place");
    }
    let mut unplaced = apply::placement(pass, situation, group, placed, budget, true);
    if let Some((previous, _)) = &found.previous {
        // What drains now is not known to the planner: it would end further ones.
        let ends = found.step.drain.is_empty();
        unplaced.extend(apply::placement(pass, situation, previous, placed, budget_before, ends));
    }
    if found.previous.is_none() {
        apply::end_lost(pass, id, group.id, placed);
    }
    apply::note_unplaced(pass, id, &unplaced);
    let is_done = step.progress == Progress::Done && found.held.is_none();
    if is_done && is_alone(pass, id, group.id) {
        finish::complete(pass, id, group.id);
        return None;
    }
    if record.failed.is_none() && limit != Duration::MAX {
        for time in [limit, LONG] {
            let rest = time.saturating_sub(view.idle_for);
            if !rest.is_zero() {
                pass.due_in(millis(rest).max(1));
            }
        }
    }
    let waits = match (&found.held, &step.progress) {
        (Some(held), _) => held.what.clone(),
        (None, _) if !unplaced.is_empty() => format!("a node: {}", unplaced.join("; ")),
        (None, Progress::Waits(waits)) => {
            if let Waits::Delay(rest) = waits {
                pass.due_in(millis(*rest).max(1));
            }
            describe(*waits)
        }
        (None, _) => "tasks that are not needed any more to end".to_owned(),
    };
    note_waits(pass, id, record, waits);
    None
}

/// Whether nothing is left of a service but tasks of the version that stay.
fn is_alone(pass: &Pass, id: &ServiceId, group: u64) -> bool {
    pass.live(id).all(|task| task.group == group && task.goal == Goal::Run)
}

fn describe(waits: Waits) -> String {
    match waits {
        Waits::Paused => "an operator".to_owned(),
        Waits::Healthy(1) => "a new task to be healthy".to_owned(),
        Waits::Healthy(count) => format!("{count} new tasks to be healthy"),
        Waits::Delay(_) => "the time between two batches".to_owned(),
        Waits::Gone(1) => "a previous task to end".to_owned(),
        Waits::Gone(count) => format!("{count} previous tasks to end"),
    }
}

fn note_waits(pass: &mut Pass, id: &ServiceId, record: &RolloutRecord, waits: String) {
    pass.waits.push(format!("deployment {}: `{}/{}` waits for {waits}", record.deployment, id.0, id.1));
    if record.waits_for != waits {
        pass.draft.records.services.change(id, |service| {
            if let Some(rollout) = &mut service.rollout {
                rollout.waits_for = waits;
            }
        });
    }
}

/// Looks again when the lease of a singleton on a lost node is over for certain.
fn may_run_again(pass: &mut Pass) {
    let rest = pass.records().tasks.values().map(|task| pass.may_run_for(task)).filter(|ms| *ms > 0).min();
    if let Some(rest) = rest {
        pass.due_in(rest);
    }
}
