//! Processes, identified by id and start time, so that a reused id is never mistaken.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The interval for polling the process table.
const SWEEP_INTERVAL: Duration = Duration::from_millis(5);

/// A process, identified so that it cannot be mistaken for a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessName {
    /// The process id.
    pub(crate) pid: u32,
    /// Its start time, in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub(crate) start_time: u64,
}

impl ProcessName {
    /// The calling process.
    pub(crate) fn own() -> io::Result<Self> {
        let pid = std::process::id();
        let stat = stat(pid).ok_or_else(|| io::Error::other("`/proc/self/stat` cannot be read"))?;
        Ok(Self { pid, start_time: stat.start_time })
    }

    /// The process that now has this id, running or not yet reaped.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, start_time: stat.start_time })
    }

    /// The process id of its parent. `None` if it has ended.
    pub(crate) fn parent(self) -> Option<u32> {
        stat(self.pid).filter(|stat| stat.start_time == self.start_time).map(|stat| stat.parent)
    }

    /// Whether it runs. One that has ended and was not reaped does not.
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start_time == self.start_time && !stat.ended)
    }

    /// A handle to exactly this process. `None` if it has ended.
    pub(crate) fn open(self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Only now is it certain which process the handle refers to.
        self.is_alive().then_some(handle)
    }

    /// A path to its working directory itself, even if that was renamed or removed.
    pub(crate) fn working_directory(self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/cwd", self.pid))
    }

    /// Sends a signal. Does nothing if the process has ended.
    pub(crate) fn signal(self, signal: Signal) {
        if let Some(handle) = self.open() {
            // It may end just now, which is as good.
            let _ = pidfd_send_signal(handle, signal);
        }
    }

    /// Whether its environment has a variable of this name; false if it cannot be read.
    pub(crate) fn has_variable(self, name: &str) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let mut entries = environment.split(|byte| *byte == 0);
        entries.any(|entry| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")))
    }

    /// Waits for its end. False if the time limit passes first.
    pub(crate) fn wait(self, limit: Duration) -> bool {
        self.open().is_none_or(|handle| wait_for_end(&handle, limit))
    }
}

/// Waits until the process of a handle has ended. False if the time limit passes first.
pub(crate) fn wait_for_end(handle: &OwnedFd, limit: Duration) -> bool {
    readable_within(handle, limit)
}

/// Waits until something can be read. False if the time limit passes first.
pub(crate) fn readable_within(file: &impl AsFd, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(file, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

struct Stat {
    parent: u32,
    start_time: u64,
    ended: bool,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may itself contain anything.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let start_time = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, start_time, ended })
}

/// Whether two paths lead to the same folder; false if one of them does not exist or cannot be accessed.
pub(crate) fn is_same_folder(a: &Path, b: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    inode(a).is_some_and(|found| inode(b) == Some(found))
}

/// The ids of all processes.
pub(crate) fn ids() -> impl Iterator<Item = u32> {
    let table = fs::read_dir("/proc").into_iter().flatten();
    table.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The processes whose environment has all of these `NAME=value` entries. Other users' processes cannot be read and
/// are not found, unless this process is root's.
pub(crate) fn with_environment(entries: &[OsString]) -> Vec<ProcessName> {
    let own = std::process::id();
    ids()
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let stat = stat(pid)?;
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let has = |wanted: &OsString| environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes());
            (!stat.ended && entries.iter().all(has)).then_some(ProcessName { pid, start_time: stat.start_time })
        })
        .collect()
}

/// Kills all processes with these entries in their environment, including those started meanwhile. False if some still
/// exist after the time limit.
pub(crate) fn kill_with_environment(entries: &[OsString], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let found = with_environment(entries);
        if found.is_empty() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        for process in &found {
            process.signal(Signal::KILL);
        }
        std::thread::sleep(SWEEP_INTERVAL);
    }
}
