//! A process that outlives the test process, to clean up after it.
//!
//! A cluster that several tests share is in a static, which is never dropped; and nothing is dropped when the tests are
//! killed or interrupted. The reaper reads the clusters' folders from a pipe, and when the pipe closes, because the test
//! process has ended, it ends all processes of these folders and removes them.

use std::io::{BufRead, Write, stdin};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::{binaries, processes};

static REAPER: LazyLock<Mutex<ChildStdin>> = LazyLock::new(|| {
    let folder = binaries::built_in();
    let path = folder.join("disco-test-reaper");
    // `cargo run -p disco-benches` does not build it.
    if !path.is_file() {
        binaries::build(&folder);
    }
    #[expect(clippy::zombie_processes, reason = "it is there to outlive this process")]
    let child = Command::new(&path)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("`{}` cannot be started: {error}", path.display()));
    Mutex::new(child.stdin.expect("its standard input is a pipe"))
});

/// Makes sure that nothing of this folder outlives this process.
pub fn watch_over(folder: &Path) {
    let folder = folder.canonicalize().unwrap();
    let mut pipe = REAPER.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(pipe, "{}", folder.display()).expect("the reaper reads");
}

/// Main function of the program `disco-test-reaper`.
pub fn be_reaper() {
    // The interrupt that ends the tests must not end this process first. It fails only for a group leader.
    let _ = rustix::process::setsid();
    let folders: Vec<PathBuf> = stdin().lock().lines().map_while(Result::ok).map(PathBuf::from).collect();
    for folder in folders {
        // Most have already been removed by their tests.
        processes::end_all(&folder);
        crate::tmpfs::unmount_beneath(&folder);
        let _ = std::fs::remove_dir_all(&folder);
    }
}
