//! Detects kills by the kernel's OOM killer.

use std::fs;

/// How many processes of this process's control group the OOM killer has ended; `None` if the kernel does not count them. The
/// count of the whole system is not enough: during the weeks that a daemon runs, it may be any process.
pub(super) fn kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    counters(&groups).into_iter().find_map(|path| count(&fs::read_to_string(path).ok()?))
}

/// The files with the counts of the groups in `/proc/self/cgroup`, see cgroups(7): version 2 has one group, version 1 one for memory.
fn counters(groups: &str) -> Vec<String> {
    let paths = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        if controllers.is_empty() {
            Some(format!("/sys/fs/cgroup{group}/memory.events"))
        } else {
            let memory = controllers.split(',').any(|controller| controller == "memory");
            memory.then(|| format!("/sys/fs/cgroup/memory{group}/memory.oom_control"))
        }
    });
    paths.collect()
}

/// Both files have the same line.
fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_both_versions_of_control_groups_are_found() {
        assert_eq!(counters("0::/system.slice/disco\n"), ["/sys/fs/cgroup/system.slice/disco/memory.events"]);
        assert_eq!(
            counters("5:cpu,cpuacct:/a\n4:memory:/b:c\n0::/\n"),
            ["/sys/fs/cgroup/memory/b:c/memory.oom_control", "/sys/fs/cgroup//memory.events"]
        );
        assert_eq!(counters("nonsense\n"), Vec::<String>::new());
        assert_eq!(count("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
