//! What this node has for tasks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use disco_store::typed::{CapacityRecord, Txn};

use super::process;
use crate::node::Node;
use crate::records::{self, keys};

/// How often it is compared with what is recorded: limits may be changed while the daemon runs.
const INTERVAL: Duration = Duration::from_secs(300);
/// Pauses after a record that was not written, and before this node is a member: the first and the longest.
const AGAIN: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
const ROOT: &str = "/sys/fs/cgroup";

/// Records the capacity, and its changes, until the process ends.
pub(super) async fn run(node: Node) {
    loop {
        match tokio::task::spawn_blocking(measure).await {
            Ok(now) => {
                // Nothing is placed here before it is recorded.
                let mut pause = AGAIN;
                while !record(&node, &now).await {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
            Err(error) => tracing::error!(%error, "cannot measure what this node has for tasks"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Records the capacity if it has changed. False if that is to be tried again.
async fn record(node: &Node, now: &CapacityRecord) -> bool {
    let key = keys::capacity(node.id());
    let recorded = node.raft().store().read(|store| records::get::<CapacityRecord>(store, &key));
    recorded.is_some_and(|record| record.value == *now)
        || is_member(node) && node.write(Txn::new().put(&key, now).operation()).await.is_ok()
}

/// A node that was removed, or is not admitted yet, has no records.
fn is_member(node: &Node) -> bool {
    node.raft().members().iter().any(|member| member.id == node.id())
}

/// Blocks.
fn measure() -> CapacityRecord {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut cpu_millis = u64::try_from(processors).unwrap_or(1) * 1_000;
    let mut memory = total_memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default());
    for limit in limits(Path::new(ROOT), &std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default()) {
        cpu_millis = cpu_millis.min(limit.cpu_millis.unwrap_or(u64::MAX));
        memory = memory.min(limit.memory.unwrap_or(u64::MAX));
    }
    disco_shim::sweep();
    let not_limited = disco_shim::not_limited();
    CapacityRecord { cpu_millis, memory, drivers: vec![process::NAME.to_owned()], not_limited }
}

fn total_memory(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}

/// Limits of a control group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limit {
    cpu_millis: Option<u64>,
    memory: Option<u64>,
}

/// Limits of the control groups that this process is in, of any version.
fn limits(root: &Path, membership: &str) -> Vec<Limit> {
    let mut found = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (folder, read): (PathBuf, fn(&Path) -> Limit) = match controllers {
            "" => (root.to_owned(), unified),
            _ if controllers.split(',').any(|name| name == "memory") => (root.join("memory"), separate_memory),
            _ if controllers.split(',').any(|name| name == "cpu") => (root.join("cpu"), separate_cpu),
            _ => continue,
        };
        let own = folder.join(path.trim_start_matches('/'));
        // In a container the path may be one outside of it: then only the root is seen.
        found.extend(own.ancestors().take_while(|above| above.starts_with(&folder)).map(read));
    }
    found
}

fn number(folder: &Path, file: &str) -> Option<u64> {
    std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

fn unified(folder: &Path) -> Limit {
    let quota = std::fs::read_to_string(folder.join("cpu.max")).ok();
    let quota = quota.as_deref().and_then(|text| text.trim().split_once(' '));
    let cpu_millis = quota.and_then(|(quota, period)| share(quota.parse().ok()?, period.parse().ok()?));
    Limit { cpu_millis, memory: number(folder, "memory.max") }
}

fn separate_memory(folder: &Path) -> Limit {
    // Without a limit the kernel shows the largest multiple of a page.
    Limit { memory: number(folder, "memory.limit_in_bytes"), cpu_millis: None }
}

fn separate_cpu(folder: &Path) -> Limit {
    let quota = number(folder, "cpu.cfs_quota_us").zip(number(folder, "cpu.cfs_period_us"));
    Limit { cpu_millis: quota.and_then(|(quota, period)| share(quota, period)), memory: None }
}

fn share(quota: u64, period: u64) -> Option<u64> {
    (quota * 1_000).checked_div(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_smallest_limit_above_the_daemon_holds() {
        let root = fake(&[
            ("memory.max", "4294967296\n"),
            ("system.slice/memory.max", "max\n"),
            ("system.slice/cpu.max", "150000 100000\n"),
            ("system.slice/discod.service/memory.max", "536870912\n"),
            ("system.slice/discod.service/cpu.max", "max 100000\n"),
        ]);
        let found = limits(root.path(), "0::/system.slice/discod.service\n");
        assert_eq!(found.iter().filter_map(|limit| limit.memory).min(), Some(512 << 20));
        assert_eq!(found.iter().filter_map(|limit| limit.cpu_millis).collect::<Vec<_>>(), [1_500]);
        let separate = fake(&[
            ("memory/docker/1/memory.limit_in_bytes", "1073741824\n"),
            ("cpu/docker/1/cpu.cfs_quota_us", "-1\n"),
            ("cpu/docker/1/cpu.cfs_period_us", "100000\n"),
        ]);
        let found = limits(separate.path(), "4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n2:pids:/docker/1\n");
        assert_eq!(found.iter().filter_map(|limit| limit.memory).collect::<Vec<_>>(), [1 << 30]);
        assert!(found.iter().all(|limit| limit.cpu_millis.is_none()), "{found:?}");
    }

    #[test]
    fn this_machine_has_something() {
        let found = measure();
        assert!(found.cpu_millis >= 100 && found.memory > 64 << 20, "{found:?}");
        assert_eq!(total_memory("MemTotal:        2048 kB\nMemFree: 1 kB\n"), 2 << 20);
    }
}
