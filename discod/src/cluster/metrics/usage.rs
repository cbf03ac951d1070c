//! What this machine and the tasks on it use.

use std::io;

use disco_proto::v1::{TaskUsage, UsageResponse};
use disco_shim::{Folder, Processes, boottime_ms};

use crate::cluster::tasks::folders;
use crate::node::Node;

/// Measures it. Blocks.
///
/// # Errors
/// `/proc` or the folders of the tasks cannot be read.
pub(super) fn measure(node: &Node) -> io::Result<UsageResponse> {
    let stat = fs_err::read_to_string("/proc/stat")?;
    let meminfo = fs_err::read_to_string("/proc/meminfo")?;
    let memory = kilobytes(&meminfo, "MemTotal:");
    let available = kilobytes(&meminfo, "MemAvailable:");
    Ok(UsageResponse {
        node_id: node.id(),
        at_ms: boottime_ms(),
        processors: processors(&stat),
        busy_ms: busy_ticks(&stat) * 1_000 / rustix::param::clock_ticks_per_second().max(1),
        memory: memory << 10,
        memory_used: memory.saturating_sub(available) << 10,
        tasks: tasks(node)?,
    })
}

fn tasks(node: &Node) -> io::Result<Vec<TaskUsage>> {
    let data = node.home().path();
    let ids = folders::tasks(data)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let processes = Processes::read()?;
    let mut found = Vec::new();
    for task_id in ids {
        // A task that is removed meanwhile uses nothing.
        let Some(attempt) = folders::attempts(data, task_id).unwrap_or_default().pop() else { continue };
        let folder = Folder::new(folders::attempt(data, task_id, attempt));
        let Ok(Some(task)) = folder.task() else { continue };
        let Some(usage) = processes.usage(&task) else { continue };
        let (cpu_us, memory, processes) = (usage.cpu_us, usage.memory, usage.processes);
        found.push(TaskUsage { task_id, attempt, cpu_us, memory, processes });
    }
    Ok(found)
}

fn kilobytes(meminfo: &str, name: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Clock ticks of all processors together in which they did something.
fn busy_ticks(stat: &str) -> u64 {
    let Some(line) = stat.lines().find_map(|line| line.strip_prefix("cpu ")) else { return 0 };
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is a part of the first two.
    let fields = line.split_ascii_whitespace().take(8).enumerate();
    fields.filter(|(at, _)| !matches!(at, 3 | 4)).filter_map(|(_, field)| field.parse::<u64>().ok()).sum()
}

fn processors(stat: &str) -> u32 {
    let lines = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    u32::try_from(lines.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counts_are_read() {
        let stat = "cpu  10 1 5 1000 50 2 3 4 7 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n";
        assert_eq!((busy_ticks(stat), processors(stat)), (25, 2));
        let meminfo = "MemTotal:        2048 kB\nMemFree: 1 kB\nMemAvailable:     512 kB\n";
        assert_eq!((kilobytes(meminfo, "MemTotal:"), kilobytes(meminfo, "MemAvailable:")), (2048, 512));
        assert_eq!((busy_ticks(""), kilobytes("", "MemTotal:")), (0, 0));
    }
}
