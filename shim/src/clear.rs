//! Ends what a killed shim has left. A shim that lives ends its task itself.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::process::{Stat, has_vanished};
use crate::{Error, Folder, Limits, descendants};

/// The control groups of tasks are below it, beside the daemon's unit: below the unit, systemd could not restart the daemon
/// while a task lives.
pub const SLICE: &str = "disco.slice";

/// A control group that is empty for so long belongs to no task that is being started.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How long killed processes may take to end.
const LIMIT: Duration = Duration::from_secs(10);
/// How often the processes are looked for.
const INTERVAL: Duration = Duration::from_millis(10);

impl Folder {
    /// Kills what is left of this folder's task although its shim has ended: its first process, its control group, and all
    /// processes whose environment has all of these `NAME=value` entries. Blocks for 10 s at most. Returns how many processes
    /// remain; does nothing while the shim runs.
    ///
    /// # Errors
    /// `task.json` cannot be read, or it cannot be known what runs.
    pub fn clear(&self, marks: &[String]) -> Result<usize, Error> {
        let Some(task) = self.task()? else { return Ok(0) };
        if task.shim.runs()? {
            return Ok(0);
        }
        let cgroup = task.cgroup.as_deref().and_then(Cgroup::existing);
        let deadline = Instant::now() + LIMIT;
        loop {
            let mut found = cgroup.as_ref().map_or(0, Cgroup::kill);
            if task.process.runs()? {
                descendants::kill_one(task.process.pid, task.process.start);
                found = found.max(1);
            }
            for (pid, start) in marked(marks)? {
                descendants::kill_one(pid, start);
                found += 1;
            }
            if found == 0 || Instant::now() >= deadline {
                if let Some(cgroup) = &cgroup {
                    cgroup.remove();
                }
                return Ok(found);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

/// Kills the tasks in control groups below [`SLICE`] whose folder, which the variable `name` of their processes is, was below
/// `tasks` and exists no more: somebody has removed it. Blocks for 10 s at most. Returns how many processes it found.
///
/// # Errors
/// It cannot be known what runs.
pub fn clear_orphans(tasks: &Path, name: &str) -> std::io::Result<usize> {
    let entry = format!("{name}=");
    let deadline = Instant::now() + LIMIT;
    let mut count = 0;
    loop {
        let mut found = 0;
        for pid in Cgroup::all(Path::new(SLICE)) {
            let Some(stat) = Stat::read(pid)?.filter(|stat| !stat.has_ended()) else { continue };
            let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { continue };
            let mut entries = environment.split(|byte| *byte == 0);
            let folder = entries.find_map(|found| std::str::from_utf8(found).ok()?.strip_prefix(entry.as_str()));
            let task = folder.and_then(|folder| Path::new(folder).strip_prefix(tasks).ok()?.iter().next());
            if task.is_some_and(|task| matches!(fs_err::exists(tasks.join(task)), Ok(false))) {
                descendants::kill_one(pid, stat.start);
                found += 1;
            }
        }
        count = count.max(found);
        if found == 0 || Instant::now() >= deadline {
            return Ok(count);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Processes whose environment has all of these entries; none for no entries.
fn marked(marks: &[String]) -> std::io::Result<Vec<(i32, u64)>> {
    let mut found = Vec::new();
    if marks.is_empty() {
        return Ok(found);
    }
    let own = std::process::id().cast_signed();
    for entry in fs_err::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != own) else { continue };
        let Some(stat) = Stat::read(pid)?.filter(|stat| !stat.has_ended()) else { continue };
        let environment = match std::fs::read(format!("/proc/{pid}/environ")) {
            Ok(environment) => environment,
            // Another user's is none of this one's tasks.
            Err(error) if has_vanished(&error) || error.kind() == std::io::ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(error),
        };
        let has = |mark: &String| environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
        if marks.iter().all(has) {
            found.push((pid, stat.start));
        }
    }
    Ok(found)
}

/// Limits that would not hold for tasks in control groups below [`SLICE`], each with its reason.
#[must_use]
pub fn not_limited() -> Vec<String> {
    let limits = Limits { memory: Some(1 << 30), cpu_millis: Some(1_000), pids: Some(1_000), open_files: None };
    let (cgroup, missing) = Cgroup::make(&Path::new(SLICE).join(format!("try-{}", std::process::id())), &limits);
    if let Some(cgroup) = cgroup {
        cgroup.remove();
    }
    missing
}

/// Ends what killed shims have left of tasks, in the folders `<tasks>/*/*`, and removes their control groups; those whose
/// shims run are left alone. Blocks.
pub fn clear_all(tasks: &Path) {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in entries(tasks).flat_map(|task| entries(&task)) {
        // What cannot be read is no start of a task.
        let _left = Folder::new(folder).clear(&[]);
    }
    sweep();
}

/// Removes the control groups of tasks that are empty and not new, as those of tasks that are being started are empty too; and
/// [`SLICE`] itself if nothing is left in it. Machines that were killed with their tasks leave such groups.
pub fn sweep() {
    let slice = Path::new(SLICE);
    for root in Cgroup::roots() {
        for entry in std::fs::read_dir(root.join(slice)).into_iter().flatten().flatten() {
            let made = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = made.is_ok_and(|made| made.elapsed().is_ok_and(|elapsed| elapsed > MAX_AGE));
            if is_old && entry.path().is_dir() {
                let _in_use = std::fs::remove_dir(entry.path());
            }
        }
        let _in_use = std::fs::remove_dir(root.join(slice));
    }
}
