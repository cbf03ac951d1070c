//! The environment of a task: nothing of the daemon's.

use std::collections::BTreeMap;
use std::path::Path;

use crate::agent::tasks::driver::Order;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What marks all that runs on a machine of the local provider, which ends it by these when it ends itself
/// (`provider/src/local/machine/`).
const MACHINE: [&str; 3] = ["DISCO_MACHINE", "DISCO_MACHINE_PID", "DISCO_MACHINE_START_TIME"];

/// The marks of the machine that this process runs on, if it is one of the local provider.
pub(super) fn machine() -> Vec<(String, String)> {
    MACHINE.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

/// Names a task's own folder to all of its processes: by it they are found when their shim was killed.
pub(super) const FOLDER: &str = "DISCO_TASK_FOLDER";

/// The variables of a task. Its service may set all but those by which its processes are found.
pub(super) fn of(order: &Order, home: &Path, machine: &[(String, String)]) -> BTreeMap<String, String> {
    let task = &order.task;
    let mut all = BTreeMap::new();
    let mut set = |name: &str, value: String| all.insert(name.to_owned(), value);
    set("PATH", PATH.to_owned());
    set("HOME", home.to_string_lossy().into_owned());
    set("DISCO_ADDRESS", order.address.to_string());
    if let Some(port) = task.ports.first() {
        set("PORT", port.number.to_string());
    }
    // Where one target has two protocols, the first one names it.
    for port in task.ports.iter().rev() {
        set(&format!("DISCO_PORT_{}", port.target), port.number.to_string());
    }
    set("DISCO_STACK", task.stack.clone());
    set("DISCO_SERVICE", task.service.clone());
    set("DISCO_INDEX", task.index.to_string());
    set("DISCO_NODE", order.node.clone());
    if let Some(run) = &task.run {
        set("DISCO_RUN", run.number.to_string());
        set("DISCO_SCHEDULED", run.scheduled.clone().unwrap_or_default());
    }
    all.extend(order.group.spec.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    all.extend(machine.iter().cloned());
    all.insert("DISCO_TASK".to_owned(), task.id.to_string());
    all.insert(FOLDER.to_owned(), home.to_string_lossy().into_owned());
    all
}

/// Entries that all processes of a task have in their environment, unless they changed it: its folder is no other task's.
pub(super) fn marks(task: u64, home: &Path) -> Vec<String> {
    vec![format!("DISCO_TASK={task}"), format!("{FOLDER}={}", home.display())]
}
