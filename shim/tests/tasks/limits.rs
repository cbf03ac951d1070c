//! Limits of memory, processes, output and the disk.

use std::path::Path;
use std::process::Command;

use disco_shim::output::Source;
use disco_shim::{Folder, Limits};

use crate::harness::{Test, in_group, is_root, sh};

#[test]
fn a_task_that_takes_too_much_memory_is_killed_and_the_reason_is_known() {
    let mut test = Test::new();
    let limits = Limits { memory: Some(32 << 20), ..Limits::default() };
    // `tail` keeps the last line, which never ends.
    let script = "trap 'go=1' HUP; echo ready; while [ -z \"$go\" ]; do sleep 0.05; done; tail /dev/zero & wait $!";
    let task = test.start(&in_group(sh(script), "memory", limits));
    if task.cgroup.is_none() || task.not_limited.iter().any(|why| why.starts_with("memory")) {
        println!(
            "skipped: a_task_that_takes_too_much_memory_is_killed_and_the_reason_is_known: {:?}",
            task.not_limited
        );
        return;
    }
    test.printed("ready");
    test.client().signal("SIGHUP").unwrap();
    let exit = test.ended();
    assert!(exit.out_of_memory, "{exit:?}");
    assert_groups_are_gone("memory");
}

#[test]
fn processes_are_limited() {
    let mut test = Test::new();
    let limits = Limits { pids: Some(8), cpu_millis: Some(500), ..Limits::default() };
    let script = "n=0; while [ $n -lt 30 ]; do sleep 3600 & n=$((n+1)); done; echo all";
    let task = test.start(&in_group(sh(script), "pids", limits));
    if task.cgroup.is_none() || task.not_limited.iter().any(|why| why.starts_with("pids")) {
        println!("skipped: processes_are_limited: {:?}", task.not_limited);
        return;
    }
    let exit = test.ended();
    assert_ne!(exit.code, Some(0), "{}", test.text(Source::Error));
    assert_eq!(exit.left, 0);
    assert_groups_are_gone("pids");
}

fn assert_groups_are_gone(name: &str) {
    let own = format!("disco-test-shim-{}", std::process::id());
    for hierarchy in ["", "memory", "pids", "cpu"] {
        let group = Path::new("/sys/fs/cgroup").join(hierarchy).join(&own).join(name);
        assert!(!group.exists(), "{} is left", group.display());
        // The last test of this process removes what is above.
        let _others_use_it = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(hierarchy).join(&own));
    }
}

#[test]
fn output_beyond_the_bound_pushes_out_the_oldest() {
    let mut test = Test::new();
    let mut spec = sh("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last");
    spec.output_bytes = 1 << 20;
    test.start(&spec);
    test.ended();
    let kept: u64 =
        fs_err::read_dir(test.folder.output()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(kept <= 1 << 20, "{kept} bytes kept");
    assert!(test.text(Source::Output).ends_with("\nlast\n"));
}

#[test]
fn a_full_disk_holds_up_no_task_and_its_end_is_recorded() {
    if !is_root() {
        println!("skipped: a_full_disk_holds_up_no_task_and_its_end_is_recorded: needs root");
        return;
    }
    let mut test = Test::new();
    let disk = Disk::mount(test.temporary.path().join("disk"), "size=1m");
    test.folder = Folder::new(disk.0.join("task"));
    fs_err::create_dir(test.folder.path()).unwrap();
    // At last the task takes what room is left itself.
    let mut spec = sh("head -c 8000000 /dev/zero | tr '\\0' x; cat /dev/zero >rest; exit 5");
    spec.working_folder = disk.0.clone();
    spec.output_bytes = 100 << 20;
    test.start(&spec);
    let exit = test.ended();
    assert_eq!(exit.code, Some(5));
    assert!(exit.dropped_bytes > 6_000_000, "{exit:?}");
    test.shim.as_mut().unwrap().wait().unwrap();
}

struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: std::path::PathBuf, options: &str) -> Self {
        fs_err::create_dir(&at).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).status().unwrap();
        assert!(status.success());
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _reported = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
