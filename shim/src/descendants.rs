use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::process::Stat;

/// All living descendants of this process.
///
/// As a subreaper it is the ancestor of every process of the task, whatever sessions and groups these made.
fn find() -> std::io::Result<Vec<(i32, u64)>> {
    let mut all: Vec<(i32, Stat)> = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            all.extend(Stat::read(pid)?.map(|stat| (pid, stat)));
        }
    }
    let mut found = vec![(std::process::id().cast_signed(), 0)];
    let mut next = 0;
    while next < found.len() {
        let (parent, _) = found[next];
        let children = all.iter().filter(|(_, stat)| stat.parent == parent && !stat.has_ended());
        found.extend(children.map(|(pid, stat)| (*pid, stat.start)));
        next += 1;
    }
    Ok(found.split_off(1))
}

/// Kills all descendants of this process and returns how many it found. One that forks meanwhile may leave children, so this
/// is to be repeated until none is left.
pub fn kill() -> usize {
    // What cannot be known may well run.
    let Ok(found) = find() else { return 1 };
    for (pid, start) in &found {
        kill_one(*pid, *start);
    }
    found.len()
}

/// Kills the process with this id if it is still the one that started then.
pub fn kill_one(pid: i32, start: u64) {
    let Some(id) = Pid::from_raw(pid) else { return };
    let Ok(descriptor) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if matches!(Stat::read(pid), Ok(Some(stat)) if stat.start == start) {
        // It may have ended meanwhile.
        let _ended = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}
