use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use todc_utils::{Action, History, Specification, WGLChecker};

use super::history::{Event, Op};

/// A key as a register with compare-and-swap.
struct Register;

impl Specification for Register {
    type State = Option<u64>;
    type Operation = Op;

    fn init() -> Self::State {
        None
    }

    fn apply(operation: &Op, state: &Self::State) -> (bool, Self::State) {
        match operation {
            Op::Get { found } => (found == state, *state),
            Op::Put { value } => (true, Some(*value)),
            Op::Swap { from, to, done } => {
                let matches = from == state;
                let after = if matches { Some(*to) } else { *state };
                (
                    done.is_none_or(|done| done == matches),
                    if done.is_none_or(|done| done == matches) { after } else { *state },
                )
            }
        }
    }
}

/// The violations in a history.
#[must_use]
pub(super) fn violations(events: &[Event]) -> Vec<String> {
    let mut by_key: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        by_key.entry(&event.key).or_default().push(event);
    }
    let mut found: Vec<String> = by_key
        .iter()
        .filter(|(_, events)| !is_linearizable(events))
        .map(|(key, events)| format!("the history of `{key}` is not linearizable:\n{}", listing(events)))
        .collect();
    found.extend(order(events));
    found
}

/// How many keys there are.
#[must_use]
pub(super) fn keys(events: &[Event]) -> usize {
    events.iter().map(|event| event.key.as_str()).collect::<std::collections::HashSet<_>>().len()
}

fn is_linearizable(events: &[&Event]) -> bool {
    // Most operations with an unknown outcome had no visible effect; including all of them makes the check slow.
    is_linearizable_with(events, false) || is_linearizable_with(events, true)
}

/// With `hidden`, a write that was never read may have made a swap fail.
fn is_linearizable_with(events: &[&Event], hidden: bool) -> bool {
    let failed = events.iter().filter(|event| matches!(event.op, Op::Swap { done: Some(false), .. }));
    let last_failed = failed.filter_map(|event| event.returned).max().unwrap_or_default();
    let read: std::collections::HashSet<u64> = events
        .iter()
        .flat_map(|event| match event.op {
            Op::Get { found } => found,
            Op::Swap { from, done, .. } if done != Some(false) => from,
            _ => None,
        })
        .collect();
    let mut moments = Vec::new();
    for (process, event) in events.iter().enumerate() {
        let unseen = match event.op {
            Op::Get { .. } => true,
            Op::Put { value } => !read.contains(&value),
            Op::Swap { to, .. } => !read.contains(&to),
        };
        // An operation with an unknown outcome and no visible effect may not have happened.
        if event.returned.is_none() && unseen && !(hidden && event.called < last_failed) {
            continue;
        }
        moments.push((event.called, 0, process, Action::Call(event.op.clone())));
        // An operation that never returned may still happen at the very end.
        let returned = event.returned.unwrap_or(Duration::MAX);
        moments.push((returned, 1, process, Action::Response(event.op.clone())));
    }
    if moments.is_empty() {
        return true;
    }
    // At the same instant calls come first: more overlap allows more orders.
    moments.sort_by_key(|(at, kind, process, _)| (*at, *kind, *process));
    let actions = moments.into_iter().map(|(_, _, process, action)| (process, action)).collect();
    WGLChecker::<Register>::is_linearizable(History::from_actions(actions))
}

/// Every revision is assigned once, and an operation that was called after another returned comes after it; for all keys together.
fn order(events: &[Event]) -> Vec<String> {
    let mut found = Vec::new();
    let mut writes: HashMap<i64, &Event> = HashMap::new();
    let mut returns: Vec<(Duration, i64)> = Vec::new();
    for event in events {
        let (Some(revision), Some(returned)) = (event.revision, event.returned) else { continue };
        returns.push((returned, revision));
        let wrote = matches!(event.op, Op::Put { .. } | Op::Swap { done: Some(true), .. });
        if wrote && let Some(other) = writes.insert(revision, event) {
            found.push(format!("revision {revision} was given twice: {event:?} and {other:?}"));
        }
    }
    returns.sort_unstable();
    let mut newest = 0;
    for (_, revision) in &mut returns {
        newest = newest.max(*revision);
        *revision = newest;
    }
    for event in events {
        let Some(revision) = event.revision else { continue };
        let before = returns.partition_point(|(returned, _)| *returned < event.called);
        let wrote = matches!(event.op, Op::Put { .. } | Op::Swap { done: Some(true), .. });
        let known = before.checked_sub(1).map_or(0, |last| returns[last].1);
        if revision < known || wrote && revision == known {
            found.push(format!("revision {known} was known before this was asked for: {event:?}"));
        }
    }
    found
}

fn listing(events: &[&Event]) -> String {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.called);
    let line = |event: &&Event| {
        let returned = event.returned.map_or("?".to_owned(), |at| format!("{:.6}", at.as_secs_f64()));
        format!("  {:.6} to {returned}: {:?} at {:?}\n", event.called.as_secs_f64(), event.op, event.revision)
    };
    events.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(called: u64, returned: Option<u64>, op: Op, revision: Option<i64>) -> Event {
        let millis = Duration::from_millis;
        Event { key: "k".to_owned(), op, called: millis(called), returned: returned.map(millis), revision }
    }

    #[test]
    fn what_happened_in_order_is_accepted() {
        let events = [
            event(0, Some(10), Op::Put { value: 1 }, Some(2)),
            event(5, Some(20), Op::Get { found: None }, Some(1)),
            event(21, Some(30), Op::Get { found: Some(1) }, Some(2)),
            event(31, Some(40), Op::Swap { from: Some(1), to: 2, done: Some(true) }, Some(3)),
            event(41, None, Op::Put { value: 3 }, None),
            event(50, Some(60), Op::Get { found: Some(2) }, Some(3)),
            event(70, Some(80), Op::Get { found: Some(3) }, Some(4)),
        ];
        assert_eq!(violations(&events), Vec::<String>::new());
    }

    #[test]
    fn a_swap_may_fail_by_a_write_that_nobody_knows_of() {
        let mut events = vec![
            event(0, Some(10), Op::Put { value: 1 }, Some(2)),
            event(11, None, Op::Put { value: 2 }, None),
            event(12, Some(20), Op::Swap { from: Some(1), to: 3, done: Some(false) }, Some(3)),
        ];
        assert_eq!(violations(&events), Vec::<String>::new());
        events.remove(1);
        assert!(violations(&events)[0].contains("not linearizable"));
    }

    #[test]
    fn a_lost_write_is_found() {
        let events = [
            event(0, Some(10), Op::Put { value: 1 }, Some(2)),
            event(11, Some(20), Op::Put { value: 2 }, Some(3)),
            event(21, Some(30), Op::Get { found: Some(1) }, Some(3)),
        ];
        assert!(violations(&events)[0].contains("not linearizable"), "{:?}", violations(&events));
    }

    #[test]
    fn a_write_that_was_done_twice_is_found() {
        let events = [
            event(0, None, Op::Put { value: 1 }, None),
            event(1, Some(2), Op::Get { found: Some(1) }, Some(2)),
            event(3, Some(4), Op::Put { value: 2 }, Some(3)),
            event(5, Some(6), Op::Get { found: Some(2) }, Some(3)),
            event(7, Some(8), Op::Get { found: Some(1) }, Some(4)),
        ];
        assert!(violations(&events)[0].contains("not linearizable"), "{:?}", violations(&events));
    }

    #[test]
    fn revisions_that_go_back_or_come_twice_are_found() {
        let twice =
            [event(0, Some(1), Op::Put { value: 1 }, Some(5)), event(0, Some(1), Op::Put { value: 2 }, Some(5))];
        assert!(violations(&twice)[0].contains("given twice"));
        let back =
            [event(0, Some(1), Op::Put { value: 1 }, Some(5)), event(2, Some(3), Op::Get { found: Some(1) }, Some(4))];
        assert!(violations(&back)[0].contains("was known before"));
    }
}
