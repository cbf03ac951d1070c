//! The control group of a task: version 2 where it is mounted, else version 1 as far as it goes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err::File;

use crate::usage::Counted;
use crate::{Limits, descendants};

const ROOT: &str = "/sys/fs/cgroup";

/// A group is busy for some milliseconds after its last process was killed (1 to 14 ms measured, Linux 6.18).
const REMOVAL: Duration = Duration::from_secs(2);

/// The groups of one task: one in version 2, one for each controller in version 1.
pub struct Cgroup {
    groups: Vec<PathBuf>,
    unified: bool,
}

impl Cgroup {
    /// Makes the group `name`, relative to the root of each hierarchy, and sets limits. Returns what could not be limited, each
    /// with the reason; `None` in the first place if this machine has no control groups to use.
    pub fn make(name: &Path, limits: &Limits) -> (Option<Self>, Vec<String>) {
        Self::make_below(Path::new(ROOT), name, limits)
    }

    /// The group `name`, where it exists.
    pub fn existing(name: &Path) -> Option<Self> {
        let groups = Self::roots().into_iter().map(|root| root.join(name));
        let groups: Vec<PathBuf> = groups.filter(|group| group.join("cgroup.procs").exists()).collect();
        (!groups.is_empty()).then(|| Self { groups, unified: is_unified(Path::new(ROOT)) })
    }

    /// The processes of all groups below this one.
    pub fn all(name: &Path) -> Vec<i32> {
        let above = Self::roots().into_iter().map(|root| root.join(name));
        let entries = above.flat_map(|above| std::fs::read_dir(above).into_iter().flatten().flatten());
        let mut found: Vec<i32> = entries.flat_map(|entry| processes(&entry.path())).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The hierarchies in which tasks may have groups.
    pub fn roots() -> Vec<PathBuf> {
        let root = Path::new(ROOT);
        match is_unified(root) {
            true => vec![root.to_owned()],
            false => CONTROLLERS.iter().map(|controller| root.join(controller)).collect(),
        }
    }

    fn make_below(root: &Path, name: &Path, limits: &Limits) -> (Option<Self>, Vec<String>) {
        if is_unified(root) { Self::unified(root, name, limits) } else { Self::separate(root, name, limits) }
    }

    fn unified(root: &Path, name: &Path, limits: &Limits) -> (Option<Self>, Vec<String>) {
        let group = root.join(name);
        if let Err(error) = make_folder(&group) {
            return (None, all_missing(limits, &error));
        }
        let settings = Settings::unified(limits);
        let mut missing = Vec::new();
        for (controller, values) in settings {
            let set = enable(root, name, controller)
                .and_then(|()| values.iter().try_for_each(|(file, value)| fs_err::write(group.join(file), value)));
            if let Err(error) = set {
                missing.push(format!("{controller}: {error}"));
            }
        }
        // Older kernels lack it, and then a process of the task may survive the others.
        let _older_kernel = fs_err::write(group.join("memory.oom.group"), "1");
        (Some(Self { groups: vec![group], unified: true }), missing)
    }

    fn separate(root: &Path, name: &Path, limits: &Limits) -> (Option<Self>, Vec<String>) {
        let mut groups = Vec::new();
        let mut missing = Vec::new();
        for (controller, values) in Settings::separate(limits) {
            let group = root.join(controller).join(name);
            // A folder below something that is no mounted controller would be an ordinary one, with files that limit nothing.
            let made = if root.join(controller).join("cgroup.procs").exists() {
                make_folder(&group)
            } else {
                Err(std::io::Error::new(ErrorKind::NotFound, "this controller is not mounted"))
            };
            let set =
                made.and_then(|()| values.iter().try_for_each(|(file, value)| fs_err::write(group.join(file), value)));
            match set {
                Ok(()) => groups.push(group),
                Err(error) if !values.is_empty() => missing.push(format!("{controller}: {error}")),
                Err(_) => (),
            }
        }
        ((!groups.is_empty()).then_some(Self { groups, unified: false }), missing)
    }

    /// Files to which a process writes `0` to join. They are opened before the fork, as a child may allocate nothing.
    pub fn doors(&self) -> std::io::Result<Vec<File>> {
        self.groups
            .iter()
            .map(|group| fs_err::OpenOptions::new().write(true).open(group.join("cgroup.procs")))
            .collect()
    }

    /// Kills all processes in the group and returns how many it found.
    pub fn kill(&self) -> usize {
        let mut found: Vec<i32> = self.groups.iter().flat_map(|group| processes(group)).collect();
        found.sort_unstable();
        found.dedup();
        let at_once =
            self.unified && self.groups.iter().all(|group| fs_err::write(group.join("cgroup.kill"), "1").is_ok());
        if !at_once {
            for pid in &found {
                if let Ok(Some(stat)) = crate::process::Stat::read(*pid) {
                    descendants::kill_one(*pid, stat.start);
                }
            }
        }
        found.len()
    }

    /// Whether the kernel killed one of the group's processes for want of memory.
    pub fn ran_out_of_memory(&self) -> bool {
        let file = if self.unified { "memory.events" } else { "memory.oom_control" };
        self.groups.iter().any(|group| {
            let Ok(text) = fs_err::read_to_string(group.join(file)) else { return false };
            let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
            count.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
        })
    }

    /// What the kernel has counted; nothing in version 1, where each controller may be absent.
    pub fn counted(&self) -> Counted {
        match self.groups.as_slice() {
            [group] if self.unified => Counted::read(group),
            _ => Counted::default(),
        }
    }

    /// Removes the group, which must be empty.
    pub fn remove(&self) {
        let deadline = Instant::now() + REMOVAL;
        for group in &self.groups {
            while let Err(error) = std::fs::remove_dir(group) {
                if error.kind() == ErrorKind::NotFound || Instant::now() > deadline {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Makes a group and those above it, which may be removed at the same moment while they are empty.
fn make_folder(group: &Path) -> std::io::Result<()> {
    for _ in 0..3 {
        match fs_err::create_dir_all(group) {
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            made => return made,
        }
    }
    fs_err::create_dir_all(group)
}

fn is_unified(root: &Path) -> bool {
    root.join("cgroup.controllers").exists()
}

/// What is written where: files and values for each controller.
struct Settings;

type Values = Vec<(&'static str, String)>;

impl Settings {
    fn unified(limits: &Limits) -> Vec<(&'static str, Values)> {
        let mut all = Vec::new();
        if let Some(bytes) = limits.memory {
            all.push(("memory", vec![("memory.max", bytes.to_string()), ("memory.swap.max", "0".to_owned())]));
        }
        if let Some(millis) = limits.cpu_millis {
            all.push(("cpu", vec![("cpu.max", format!("{} {PERIOD_US}", quota_us(millis)))]));
        }
        if let Some(pids) = limits.pids {
            all.push(("pids", vec![("pids.max", pids.to_string())]));
        }
        all
    }

    /// `pids` is always there, as it also says which processes belong to the task.
    fn separate(limits: &Limits) -> Vec<(&'static str, Values)> {
        let mut all = vec![("pids", Vec::new())];
        if let Some(pids) = limits.pids {
            all[0].1.push(("pids.max", pids.to_string()));
        }
        if let Some(bytes) = limits.memory {
            all.push(("memory", vec![("memory.limit_in_bytes", bytes.to_string())]));
        }
        if let Some(millis) = limits.cpu_millis {
            let values =
                vec![("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota_us(millis).to_string())];
            all.push(("cpu", values));
        }
        all
    }
}

/// Those that may be mounted separately, in version 1.
const CONTROLLERS: [&str; 3] = ["pids", "memory", "cpu"];

/// The kernel's own default.
const PERIOD_US: u64 = 100_000;

/// Microseconds of a period; the kernel refuses less than one millisecond.
fn quota_us(cpu_millis: u32) -> u64 {
    (u64::from(cpu_millis) * PERIOD_US / 1_000).max(1_000)
}

/// Makes a controller available in the group `name`, by enabling it in each group above.
fn enable(root: &Path, name: &Path, controller: &str) -> std::io::Result<()> {
    let mut above = root.to_owned();
    for part in name.components() {
        let file = above.join("cgroup.subtree_control");
        let enabled = fs_err::read_to_string(&file)?.split_ascii_whitespace().any(|word| word == controller);
        if !enabled {
            fs_err::write(&file, format!("+{controller}"))?;
        }
        above.push(part);
    }
    Ok(())
}

fn processes(group: &Path) -> Vec<i32> {
    let text = fs_err::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn all_missing(limits: &Limits, error: &std::io::Error) -> Vec<String> {
    Settings::unified(limits).iter().map(|(controller, _)| format!("{controller}: {error}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { memory: Some(64 << 20), cpu_millis: Some(1_500), pids: Some(20), open_files: None };

    /// Where no kernel answers, files show what was written.
    fn fake(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        }
        root
    }

    fn read(root: &tempfile::TempDir, file: &str) -> String {
        fs_err::read_to_string(root.path().join(file)).unwrap()
    }

    #[test]
    fn version_2_is_limited_by_its_files() {
        let root = fake(&["cgroup.controllers", "cgroup.subtree_control", "disco.slice/cgroup.subtree_control"]);
        let (group, missing) = Cgroup::make_below(root.path(), Path::new("disco.slice/web-1"), &LIMITS);
        assert!(group.is_some() && missing.is_empty(), "{missing:?}");
        assert_eq!(read(&root, "disco.slice/web-1/memory.max"), "67108864");
        assert_eq!(read(&root, "disco.slice/web-1/cpu.max"), "150000 100000");
        assert_eq!(read(&root, "disco.slice/web-1/pids.max"), "20");
        assert_eq!(read(&root, "disco.slice/web-1/memory.oom.group"), "1");
        // Each write of a real kernel enables one more; a file keeps the last.
        assert_eq!(read(&root, "disco.slice/cgroup.subtree_control"), "+pids");
    }

    #[test]
    fn version_1_is_limited_where_controllers_are_mounted_and_says_where_not() {
        let root = fake(&["pids/cgroup.procs", "memory/cgroup.procs"]);
        let (group, missing) = Cgroup::make_below(root.path(), Path::new("disco/web-1"), &LIMITS);
        assert!(group.is_some());
        assert_eq!(read(&root, "memory/disco/web-1/memory.limit_in_bytes"), "67108864");
        assert_eq!(read(&root, "pids/disco/web-1/pids.max"), "20");
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert!(missing[0].starts_with("cpu: "), "{missing:?}");
    }

    #[test]
    fn without_control_groups_every_limit_is_named() {
        let root = fake(&[]);
        let (group, missing) = Cgroup::make_below(root.path(), Path::new("disco/web-1"), &LIMITS);
        assert!(group.is_none());
        assert_eq!(missing.len(), 3, "{missing:?}");
    }

    #[test]
    fn the_counter_of_kills_tells_a_want_of_memory() {
        let root = fake(&["cgroup.controllers", "cgroup.subtree_control"]);
        let (group, _) = Cgroup::make_below(root.path(), Path::new("web-1"), &Limits::default());
        let group = group.unwrap();
        assert!(!group.ran_out_of_memory());
        fs_err::write(root.path().join("web-1/memory.events"), "low 0\noom 1\noom_kill 2\noom_group_kill 1\n").unwrap();
        assert!(group.ran_out_of_memory());
    }
}
