use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::skipped;

/// A small disk in memory, mounted on a folder.
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of so many bytes on the folder, which is made. `None`, and the test is said to be skipped, where that is not
    /// allowed.
    #[must_use]
    pub fn mount(path: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0700"), "disco-test"]).arg(path);
        let mounted = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            skipped("only root can mount a small disk");
        }
        mounted.then(|| Self { path: path.canonicalize().unwrap() })
    }

    /// Bytes that are free.
    #[must_use]
    pub fn free(&self) -> u64 {
        let disk = statvfs(&self.path).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Takes all but so many bytes, as another program would.
    pub fn fill(&self, leave: u64) {
        let ballast = fs::File::options().create(true).append(true).open(self.ballast()).unwrap();
        let taken = ballast.metadata().unwrap().len();
        // What is free changes while the node writes.
        let take = self.free().saturating_sub(leave);
        match fallocate(&ballast, FallocateFlags::empty(), taken, take.max(1)) {
            Ok(()) | Err(rustix::io::Errno::NOSPC) => {}
            Err(error) => panic!("{}: {}", self.path.display(), io::Error::from(error)),
        }
    }

    /// Gives it back.
    pub fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// Unmounts what is mounted there, also when it is in use.
fn unmount(path: &Path) {
    // It may be gone already.
    let _ = Command::new("umount").arg("-l").arg(path).stderr(Stdio::null()).status();
}

/// Unmounts all beneath the folder.
pub(crate) fn unmount_beneath(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(folder)) {
        unmount(Path::new(point));
    }
}
