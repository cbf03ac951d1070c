use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::{SOON, skipped, wait_for};

/// A small disk in memory, mounted on a folder.
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts a disk of this size on the folder, which is made. `None`, with a message that the test is skipped, if that is not
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

    /// Free bytes.
    #[must_use]
    pub fn free(&self) -> u64 {
        let disk = statvfs(&self.path).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Fills it except for this number of bytes, as another program would.
    pub fn fill(&self, leave: u64) {
        let ballast = fs::File::options().create(true).append(true).open(self.ballast()).unwrap();
        wait_for(SOON, "a filled disk", || {
            let taken = ballast.metadata().unwrap().len();
            let take = self.free().saturating_sub(leave);
            match fallocate(&ballast, FallocateFlags::empty(), taken, take.max(1)) {
                Ok(()) => Ok(()),
                Err(rustix::io::Errno::NOSPC) if take == 0 => Ok(()),
                // The node has written meanwhile, and a too large allocation takes nothing.
                Err(rustix::io::Errno::NOSPC) => Err(format!("{take} bytes are not free any more")),
                Err(error) => panic!("{}: {}", self.path.display(), io::Error::from(error)),
            }
        });
    }

    /// Sets whether it can be written, even by root.
    pub fn set_writable(&self, writable: bool) {
        let option = if writable { "remount,rw" } else { "remount,ro" };
        let status = Command::new("mount").args(["-o", option]).arg(&self.path).status().unwrap();
        assert!(status.success(), "{} is not mounted anew", self.path.display());
    }

    /// Unmounts it.
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

/// Unmounts a folder, even if it is in use.
fn unmount(path: &Path) {
    // It may already be unmounted.
    let _ = Command::new("umount").arg("-l").arg(path).stderr(Stdio::null()).status();
}

/// Unmounts everything below the folder.
pub(crate) fn unmount_beneath(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(folder)) {
        unmount(Path::new(point));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn it_is_filled_while_somebody_writes() {
        const ALL: u64 = 64 << 20;
        const KEPT: u64 = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let Some(disk) = Tmpfs::mount(folder.path(), ALL) else { return };
        let (writes, over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = fs::File::create(folder.path().join("other")).unwrap();
                let mut written = 0;
                while !over.load(Ordering::Relaxed) {
                    written += file.write(&[0; 4096]).unwrap_or(0) as u64;
                    if written >= KEPT {
                        file.set_len(0).unwrap();
                        file = fs::File::create(folder.path().join("other")).unwrap();
                        written = 0;
                    }
                    writes.store(true, Ordering::Relaxed);
                }
            });
            while !writes.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            disk.fill(0);
            over.store(true, Ordering::Relaxed);
        });
        assert!(disk.free() <= KEPT, "{} bytes are free", disk.free());
    }
}
