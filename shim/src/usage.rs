//! What tasks use of their machine.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::param::{clock_ticks_per_second, page_size};

use crate::cgroup::Cgroup;
use crate::process::Stat;
use crate::{Process, Task};

/// What a task uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Microseconds of processor time since its start, also of its processes that have ended.
    pub cpu_us: u64,
    /// Bytes of memory now: without what the kernel can drop from its cache.
    pub memory: u64,
    /// Processes now.
    pub processes: u32,
}

/// All processes of this machine at one moment, by which the usage of many tasks is found at once.
pub struct Processes {
    /// By their parents.
    children: BTreeMap<i32, Vec<i32>>,
    all: BTreeMap<i32, Stat>,
}

impl Processes {
    /// The processes now. Processes that end meanwhile are left out.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn read() -> std::io::Result<Self> {
        let (mut children, mut all) = (BTreeMap::<i32, Vec<i32>>::new(), BTreeMap::new());
        for entry in fs_err::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some(stat) = Stat::read(pid)? else { continue };
            children.entry(stat.parent).or_default().push(pid);
            all.insert(pid, stat);
        }
        Ok(Self { children, all })
    }

    /// What a task uses; `None` if it does not run any more.
    #[must_use]
    pub fn usage(&self, task: &Task) -> Option<Usage> {
        let shim = self.all.get(&task.shim.pid).filter(|stat| stat.start == task.shim.start)?;
        // The shim is the reaper of all that the task has left: so each process counts once, here or by its parent.
        let (mut usage, mut ticks) = (Usage::default(), shim.ended_ticks);
        let mut next: Vec<i32> = self.below(task.shim.pid).to_vec();
        while let Some(pid) = next.pop() {
            next.extend(self.below(pid));
            let Some(stat) = self.all.get(&pid) else { continue };
            ticks += stat.ticks + stat.ended_ticks;
            if !stat.has_ended() {
                usage.memory += stat.pages * page_size() as u64;
                usage.processes += 1;
            }
        }
        usage.cpu_us = ticks * 1_000_000 / clock_ticks_per_second().max(1);
        // Programs beside the task, and what is shared by its processes, are right there alone.
        if let Some(cgroup) = task.cgroup.as_deref().and_then(Cgroup::existing) {
            let counted = cgroup.counted();
            usage.cpu_us = counted.cpu_us.unwrap_or(usage.cpu_us);
            usage.memory = counted.memory.unwrap_or(usage.memory);
        }
        Some(usage)
    }

    fn below(&self, pid: i32) -> &[i32] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }
}

// === impl Process ===

impl Process {
    /// What this process itself uses.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn usage_of_self() -> std::io::Result<Usage> {
        let gone = || std::io::Error::other("/proc does not show this process");
        let stat = Stat::read(std::process::id().cast_signed())?.ok_or_else(gone)?;
        let cpu_us = stat.ticks * 1_000_000 / clock_ticks_per_second().max(1);
        Ok(Usage { cpu_us, memory: stat.pages * page_size() as u64, processes: 1 })
    }
}

/// What the kernel has counted for a control group of version 2.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub cpu_us: Option<u64>,
    /// Absent without the memory controller.
    pub memory: Option<u64>,
}

impl Counted {
    /// Of the group with this folder.
    pub fn read(group: &Path) -> Self {
        let text = |file: &str| std::fs::read_to_string(group.join(file)).unwrap_or_default();
        let field = |text: &str, name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line?.trim().parse().ok()
        };
        let cache = field(&text("memory.stat"), "inactive_file").unwrap_or(0);
        let memory = text("memory.current").trim().parse::<u64>().ok();
        Self {
            cpu_us: field(&text("cpu.stat"), "usage_usec"),
            memory: memory.map(|memory| memory.saturating_sub(cache)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counts_are_read_where_there_are_some() {
        let group = tempfile::tempdir().unwrap();
        assert_eq!(Counted::read(group.path()), Counted::default());
        fs_err::write(group.path().join("cpu.stat"), "usage_usec 1234\nuser_usec 1000\n").unwrap();
        fs_err::write(group.path().join("memory.current"), "10000\n").unwrap();
        fs_err::write(group.path().join("memory.stat"), "anon 1\ninactive_file 4000\nactive_file 5\n").unwrap();
        assert_eq!(Counted::read(group.path()), Counted { cpu_us: Some(1234), memory: Some(6000) });
    }

    #[test]
    fn processes_of_a_task_are_counted_with_those_that_have_ended() {
        // This process stands for a shim: it has a child that runs, and one that has used time and ended.
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", burn]).status().unwrap().success());
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let own = Process::find(std::process::id().cast_signed()).unwrap().unwrap();
        let process = Process::find(child.id().cast_signed()).unwrap().unwrap();
        let task = Task { shim: own.clone(), process, cgroup: None, not_limited: Vec::new(), started_at_ms: 0 };
        // The kernel shows no memory of a process that has just been executed.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let usage = loop {
            let usage = Processes::read().unwrap().usage(&task).unwrap();
            let is_whole = usage.processes >= 1 && usage.memory > 0 && usage.cpu_us > 0;
            if is_whole || std::time::Instant::now() > deadline {
                break usage;
            }
            std::thread::yield_now();
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(usage.processes >= 1 && usage.memory > 0 && usage.cpu_us > 0, "{usage:?}");
        let other = Task { shim: Process { start: own.start + 1, ..own }, ..task };
        assert_eq!(Processes::read().unwrap().usage(&other), None);
    }
}
