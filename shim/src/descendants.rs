use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::process::Stat;

/// All living descendants of this process.
///
/// As a subreaper it is the ancestor of every process of the task, whatever sessions and groups these made.
fn find() -> Vec<(i32, u64)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let all: Vec<(i32, Stat)> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid)?)))
        .collect();
    let mut found = vec![(std::process::id().cast_signed(), 0)];
    let mut next = 0;
    while next < found.len() {
        let (parent, _) = found[next];
        let children = all.iter().filter(|(_, stat)| stat.parent == parent && !stat.has_ended());
        found.extend(children.map(|(pid, stat)| (*pid, stat.start)));
        next += 1;
    }
    found.split_off(1)
}

/// Kills all descendants of this process and returns how many it found. One that forks meanwhile may leave children, so this
/// is to be repeated until none is left.
pub fn kill() -> usize {
    let found = find();
    for (pid, start) in &found {
        kill_one(*pid, *start);
    }
    found.len()
}

/// Kills the process with this id if it is still the one that started then.
pub fn kill_one(pid: i32, start: u64) {
    let Some(id) = Pid::from_raw(pid) else { return };
    let Ok(descriptor) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if Stat::read(pid).is_some_and(|stat| stat.start == start) {
        // It may have ended meanwhile.
        let _ended = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}
