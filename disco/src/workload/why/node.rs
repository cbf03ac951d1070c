use super::{Explanation, Known};

/// Why a node is as it is.
pub(super) fn explain(id: u64, known: &Known) -> Explanation {
    let Some(status) = known.status.nodes.iter().find(|node| node.id == id) else {
        return Explanation {
            kind: "node",
            name: id.to_string(),
            verdict: "is no member".to_owned(),
            ..Explanation::default()
        };
    };
    let drained = known.catalogue.nodes.get(&id).is_some_and(|node| node.drained);
    let reason = status.reason.lines().next().unwrap_or_default();
    let verdict = match (status.healthy, status.draining, drained) {
        (false, ..) if reason.is_empty() => "is not healthy".to_owned(),
        (false, ..) => format!("is not healthy: {reason}"),
        (true, true, _) => "is healthy, and its daemon is about to stop".to_owned(),
        (true, false, true) => "is healthy, and drained: it gets no tasks".to_owned(),
        (true, false, false) => "is healthy".to_owned(),
    };
    let name = status.name.clone();
    let mut found = Explanation { kind: "node", name: name.clone(), verdict, ..Explanation::default() };
    found.ok = status.healthy && !drained && !status.draining;
    found.fact("role", format!("{} at {}", status.role, status.address));
    for line in status.reason.lines().skip(1) {
        found.fact("more", line);
    }
    match (status.last_seen_ms, status.answered_ms) {
        (Some(seen), _) => found.fact("last report", format!("{:.1}s ago", seen as f64 / 1e3)),
        (None, _) if !status.healthy => found.fact("last report", "none since the leader was elected"),
        _ => {}
    }
    if let Some(answered) = status.answered_ms.filter(|_| !status.healthy) {
        found.fact("last answer", format!("{:.1}s ago, to the leader", answered as f64 / 1e3));
    }
    if let Some(count) = status.restarts.filter(|count| *count > 0) {
        found.fact("daemon", format!("ended unexpectedly {count} times since it was installed"));
    }
    if let Some(behind) = status.behind.filter(|behind| *behind > 0) {
        found.fact("log", format!("lacks {behind} entries of the leader's"));
    }
    match known.capacities.get(&id) {
        None => found.fact("tasks", "it has not reported what it has for tasks, so it gets none"),
        Some(capacity) => {
            let tasks = known.catalogue.tasks.iter().filter(|task| task.record.node == id && !task.is_gone());
            let (memory, cpu) = (capacity.memory >> 20, capacity.cpu_millis as f64 / 1e3);
            found.fact(
                "tasks",
                format!("{}; it has {cpu} processors and {memory} MiB of memory for them", tasks.count()),
            );
            for limit in &capacity.not_limited {
                found.fact("no limit", limit);
            }
        }
    }
    found.events = known.events_about(|event| event.node == Some(id));
    found.next = match (status.healthy, drained) {
        (false, _) => {
            vec![format!("disco logs {name}"), format!("disco logs --previous {name}"), "disco doctor".to_owned()]
        }
        (true, true) => vec![format!("disco undrain {name}")],
        (true, false) => vec!["disco top".to_owned()],
    };
    found
}
