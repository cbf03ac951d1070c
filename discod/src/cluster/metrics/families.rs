//! The families of metrics.

use std::collections::BTreeMap;

use disco_proto::v1::UsageResponse;
use disco_store::Store;
use rustix::process::Resource;

use super::text::{Kind, Text, Value};
use crate::node::Node;
use crate::raft::Role;
use crate::records::{self, TaskRecord, TaskState, TaskStateRecord, keys};

const STATES: [(TaskState, &str); 6] = [
    (TaskState::Pending, "pending"),
    (TaskState::Starting, "starting"),
    (TaskState::Running, "running"),
    (TaskState::Stopping, "stopping"),
    (TaskState::Stopped, "stopped"),
    (TaskState::Failed, "failed"),
];

/// All of this node. Blocks for some reads of `/proc`.
pub(super) fn text(node: &Node, usage: &UsageResponse) -> String {
    let mut text = Text::default();
    let mut build = text.family("disco_build_info", Kind::Gauge, "The daemon's version, as a label; always 1.");
    build.add(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    raft(node, &mut text);
    controllers(node, &mut text);
    node.raft().store().read(|store| stored(store, &mut text));
    tasks(node, usage, &mut text);
    machine(node, usage, &mut text);
    process(&mut text);
    text.finish()
}

fn raft(node: &Node, text: &mut Text) {
    let leadership = node.raft().leadership().borrow().clone();
    let progress = node.raft().progress();
    let members = node.raft().members();
    let gauges: [(&'static str, &str, u64); 8] = [
        ("disco_raft_term", "The newest term that this node knows.", leadership.term),
        ("disco_raft_is_leader", "1 on the leader.", u64::from(node.raft().leads().is_some())),
        ("disco_raft_has_leader", "1 if this node knows a leader.", u64::from(node.raft().has_leader())),
        ("disco_raft_last_index", "Index of the last entry in this node's log.", progress.last),
        (
            "disco_raft_committed_index",
            "Index of the last entry that this node knows to be committed.",
            progress.committed,
        ),
        ("disco_raft_applied_index", "Index of the last entry that this node has applied.", progress.applied),
        ("disco_raft_snapshot_index", "Index of the last entry that the newest snapshot covers.", progress.snapshot),
        ("disco_raft_log_bytes", "Bytes of the files of this node's log.", log_bytes(node)),
    ];
    for (name, help, value) in gauges {
        text.one(name, Kind::Gauge, help, value);
    }
    let mut family = text.family("disco_raft_members", Kind::Gauge, "Members of the cluster by their roles.");
    for (role, name) in [(Role::Voter, "voter"), (Role::Learner, "learner")] {
        let count = members.iter().filter(|member| member.role == role).count();
        family.add(&[("role", name)], count as u64);
    }
}

fn log_bytes(node: &Node) -> u64 {
    let files = ["raft.redb", "raft.journal"].into_iter();
    files.filter_map(|file| std::fs::metadata(node.home().path().join(file)).ok()).map(|file| file.len()).sum()
}

/// Only the leader has them.
fn controllers(node: &Node, text: &mut Text) {
    let passes = node.leader().map(|leader| leader.passes().all()).unwrap_or_default();
    if passes.is_empty() {
        return;
    }
    let mut took = text.family(
        "disco_controller_last_pass_duration_seconds",
        Kind::Gauge,
        "How long the last pass of a controller of the leader took.",
    );
    for (name, pass) in &passes {
        took.add(&[("controller", name)], pass.took.as_secs_f64());
    }
    let help = "Seconds since the last pass of a controller of the leader began.";
    let mut age = text.family("disco_controller_last_pass_age_seconds", Kind::Gauge, help);
    for (name, pass) in &passes {
        age.add(&[("controller", name)], pass.started.elapsed().as_secs_f64());
    }
    let mut success = text.family(
        "disco_controller_last_pass_success",
        Kind::Gauge,
        "1 if the last pass of a controller of the leader did not fail.",
    );
    for (name, pass) in &passes {
        success.add(&[("controller", name)], pass.error.is_none());
    }
}

fn stored(store: &Store, text: &mut Text) {
    let whole = |value: i64| u64::try_from(value).unwrap_or(0);
    let gauges: [(&'static str, &str, u64); 5] = [
        ("disco_store_bytes", "Bytes of all keys and values with their history.", store.size_bytes()),
        (
            "disco_store_history_bytes",
            "Bytes of superseded versions and deleted keys, which compaction frees.",
            store.history_bytes(),
        ),
        ("disco_store_revision", "The store's revision.", whole(store.revision())),
        ("disco_store_compact_revision", "The oldest revision that can be read.", whole(store.compact_revision())),
        ("disco_store_full", "1 if the store is over its quota and refuses writes.", u64::from(store.is_full())),
    ];
    for (name, help, value) in gauges {
        text.one(name, Kind::Gauge, help, value);
    }
    text.one("disco_events_total", Kind::Counter, "Events that the cluster has recorded.", records::last_event(store));
}

/// What is shown of the tasks of one service and index.
#[derive(Default)]
struct Shown {
    running: u64,
    healthy: u64,
    restarts: u64,
    cpu_us: u64,
    memory: u64,
    processes: u64,
}

fn tasks(node: &Node, usage: &UsageResponse, text: &mut Text) {
    let id = node.id();
    let (tasks, states) = node.raft().store().read(|store| {
        let tasks = records::list::<TaskRecord>(store, keys::TASKS).into_iter().map(|task| task.value);
        let states = records::list::<TaskStateRecord>(store, keys::TASK_STATES).into_iter().map(|state| state.value);
        let states: BTreeMap<u64, TaskStateRecord> = states.map(|state| (state.id, state)).collect();
        (tasks.filter(|task| task.node == id).collect::<Vec<_>>(), states)
    });
    let state_of = |task: &TaskRecord| states.get(&task.id).map_or(TaskState::Pending, |state| state.state);
    let mut family = text.family("disco_tasks", Kind::Gauge, "Tasks on this node by their states.");
    for (state, name) in STATES {
        family.add(&[("state", name)], tasks.iter().filter(|task| state_of(task) == state).count() as u64);
    }

    let mut all: BTreeMap<(&str, &str, u64), Shown> = BTreeMap::new();
    for task in &tasks {
        let state = states.get(&task.id);
        if state.is_some_and(|state| state.gone) {
            continue;
        }
        let shown = all.entry((&task.stack, &task.service, task.index)).or_default();
        shown.running += u64::from(state_of(task) == TaskState::Running);
        shown.healthy += u64::from(state.is_some_and(|state| state.healthy && state.state == TaskState::Running));
        shown.restarts += state.map_or(0, |state| state.restarts);
        if let Some(used) = usage.tasks.iter().find(|used| used.task_id == task.id) {
            shown.cpu_us += used.cpu_us;
            shown.memory += used.memory;
            shown.processes += u64::from(used.processes);
        }
    }
    type Of = fn(&Shown) -> Value;
    let families: [(&'static str, Kind, &str, Of); 6] = [
        ("disco_task_running", Kind::Gauge, "1 while the task runs.", |shown| shown.running.into()),
        ("disco_task_healthy", Kind::Gauge, "1 while the task runs and its probes succeed.", |shown| {
            shown.healthy.into()
        }),
        ("disco_task_restarts_total", Kind::Counter, "How often the task was started again after an end.", |shown| {
            shown.restarts.into()
        }),
        ("disco_task_cpu_seconds_total", Kind::Counter, "Processor time of the task since its last start.", |shown| {
            seconds(shown.cpu_us).into()
        }),
        ("disco_task_memory_bytes", Kind::Gauge, "Memory of all processes of the task.", |shown| shown.memory.into()),
        ("disco_task_processes", Kind::Gauge, "Processes of the task.", |shown| shown.processes.into()),
    ];
    for (name, kind, help, value) in families {
        // A family without samples says nothing.
        if all.is_empty() {
            break;
        }
        let mut family = text.family(name, kind, help);
        for ((stack, service, index), shown) in &all {
            let index = index.to_string();
            family.add(&[("stack", stack), ("service", service), ("index", &index)], value(shown));
        }
    }
    let probes = node.probes();
    let mut family = text.family("disco_probes_total", Kind::Counter, "Probes of tasks on this node by their results.");
    family.add(&[("result", "success")], probes.succeeded());
    family.add(&[("result", "failure")], probes.failed());
}

fn machine(node: &Node, usage: &UsageResponse, text: &mut Text) {
    let room = node.raft().room();
    text.one("disco_node_processors", Kind::Gauge, "Processors of the machine.", u64::from(usage.processors));
    text.one(
        "disco_node_cpu_seconds_total",
        Kind::Counter,
        "Processor time since the machine's start, without idle time.",
        usage.busy_ms as f64 / 1_000.0,
    );
    text.one("disco_node_memory_bytes", Kind::Gauge, "Memory of the machine.", usage.memory);
    text.one("disco_node_memory_used_bytes", Kind::Gauge, "Memory of the machine in use.", usage.memory_used);
    text.one("disco_node_disk_free_bytes", Kind::Gauge, "Free bytes on the disk of the data folder.", room.free);
    let help = "Free bytes that the node needs to accept writes.";
    text.one("disco_node_disk_needed_bytes", Kind::Gauge, help, room.needed);
    text.one("disco_node_draining", Kind::Gauge, "1 while the daemon is about to stop.", node.is_draining());
}

/// The names that all of Prometheus' own clients use. What cannot be read is left out.
fn process(text: &mut Text) {
    if let Ok(own) = disco_shim::Process::usage_of_self() {
        let cpu = seconds(own.cpu_us);
        let help = "Processor time of the daemon.";
        text.one("process_cpu_seconds_total", Kind::Counter, help, cpu);
        text.one("process_resident_memory_bytes", Kind::Gauge, "Resident memory of the daemon.", own.memory);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is that of the folder.
        let count = open.count().saturating_sub(1);
        text.one("process_open_fds", Kind::Gauge, "Open file descriptors of the daemon.", count as u64);
    }
    if let Some(most) = rustix::process::getrlimit(Resource::Nofile).current {
        text.one("process_max_fds", Kind::Gauge, "The most file descriptors that the daemon may have open.", most);
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}
